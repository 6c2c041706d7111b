/*
 * contract_cases.h: every contract case: the suite, what it shows, the features (PLATFORM_FEATURE_*) without which it can't be tried.
 * CASE ends well; DEATH must be stopped by a check, and the last words must contain the text.
 *
 * A platform passes a suite; docs/porting.md says in which order.
 */
#define CONTRACT_WITHOUT_FORK (1ull << 62) /* only where PLATFORM_FEATURE_FORK is absent */
#define CONTRACT_WITHOUT_GUEST (1ull << 63)

#define CONTRACT_CASES(CASE, DEATH)                                                                \
    CASE(InterfaceContract, GuestRangeChecksKnowTheirLimits, 0)                                    \
    CASE(AspaceContract, NewSpaceIsEmpty, 0)                                                       \
    CASE(AspaceContract, NumbersAreNeverUsedTwice, 0)                                              \
    CASE(AspaceContract, ActivateKeepsTheStackAndLocals, 0)                                        \
    CASE(AspaceContract, LeavingTheSpaceTakesItsMemoryOutOfReach, 0)                               \
    CASE(AspaceContract, CreateFailingAtAnyHostCallLeavesNothing, 0)                               \
    CASE(AspaceContract, DestroyReleasesMemory, 0)                                                 \
    CASE(AspaceContract, StatsNameOnlyCountersTheyKnow, 0)                                         \
    DEATH(AspaceContractDeath, DestroyTwiceAborts, 0, "precondition")                              \
    DEATH(AspaceContractDeath, ActivatingADestroyedSpaceAborts, 0, "precondition")                 \
    DEATH(AspaceContractDeath, ForkingADestroyedSpaceAborts, 0, "precondition")                    \
    DEATH(AspaceContractDeath, StaleTokenAbortsThoughANewSpaceWasMade, 0, "precondition")          \
    DEATH(AspaceContractDeath, TokenOfZerosAborts, 0, "precondition")                              \
    DEATH(AspaceContractDeath, TokenWithoutOwnerAborts, 0, "precondition")                         \
    DEATH(AspaceContractDeath, DestroyWhileActiveAborts, 0, "precondition")                        \
    DEATH(AspaceContractDeath, MappingAnUnalignedRangeAborts, 0, "precondition")                   \
    DEATH(AspaceContractDeath, MappingBelowTheGuestRangeAborts, 0, "precondition")                 \
    DEATH(AspaceContractDeath, UnmappingPastTheGuestRangeAborts, 0, "precondition")                \
    DEATH(AspaceContractDeath, MovingOntoItselfAborts, 0, "precondition")                          \
    DEATH(AspaceContractDeath, UnwrittenSlotAborts, 0, "not implemented: example")                 \
    CASE(ManySpacesContract, CopiesActOnTheActiveSpace, PLATFORM_FEATURE_FORK)                     \
    CASE(ManySpacesContract, SixtyFourSpacesLiveAtOnce, PLATFORM_FEATURE_FORK)                     \
    CASE(ManySpacesContract, ActivateFailingAtAnyHostCallStaysPut, PLATFORM_FEATURE_FORK)          \
    CASE(ManySpacesContract, PeekAndPokeReachAnInactiveSpace, PLATFORM_FEATURE_FORK)               \
    CASE(ManySpacesContract, SpacesCanBeMadeAndDestroyedAThousandTimes, PLATFORM_FEATURE_FORK)     \
    DEATH(ManySpacesContractDeath, DestroyWhileAnotherThreadIsInsideAborts,                        \
          PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS, "precondition")                        \
    CASE(SingleSpaceContract, SecondSpaceIsNotSupported, CONTRACT_WITHOUT_FORK)                    \
    CASE(AspaceForkContract, ChildSeesMemoryAsItWasAtFork, PLATFORM_FEATURE_FORK)                  \
    CASE(AspaceForkContract, ChildWriteAfterForkIsInvisibleToParent, PLATFORM_FEATURE_FORK)        \
    CASE(AspaceForkContract, ParentWriteAfterForkIsInvisibleToChild, PLATFORM_FEATURE_FORK)        \
    CASE(AspaceForkContract, SiblingsAreIsolated, PLATFORM_FEATURE_FORK)                           \
    CASE(AspaceForkContract, GrandchildrenAreIsolated, PLATFORM_FEATURE_FORK)                      \
    CASE(AspaceForkContract, ChildOutlivesItsParent, PLATFORM_FEATURE_FORK)                        \
    CASE(AspaceForkContract, InactiveSpaceCanBeForked, PLATFORM_FEATURE_FORK)                      \
    CASE(AspaceForkContract, ForkDoesNotActivateTheChild, PLATFORM_FEATURE_FORK)                   \
    CASE(AspaceForkContract, ForkWhileAnotherThreadWritesIsOneInstant,                             \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS)                                         \
    CASE(AspaceForkContract, ForkWhileGuestCodeWritesIsOneInstant,                                 \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_GUEST)                \
    CASE(AspaceForkContract, ForkOfARunningSpaceFromOutsideIsOneInstant,                           \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_GUEST)                \
    CASE(AspaceForkContract, ThreadsForkOneParentAtTheSameTime,                                    \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS)                                         \
    CASE(AspaceForkContract, SharedMappingStaysShared, PLATFORM_FEATURE_FORK)                      \
    CASE(AspaceForkContract, PrivateMappingOfAnObjectBecomesPrivateToEach, PLATFORM_FEATURE_FORK)  \
    CASE(AspaceForkContract, ProtectionsAreInherited, PLATFORM_FEATURE_FORK)                       \
    CASE(AspaceForkContract, MappingsChangedAfterForkStayApart, PLATFORM_FEATURE_FORK)             \
    CASE(AspaceForkContract, DontforkRangeIsAbsentInTheChild, PLATFORM_FEATURE_FORK)               \
    CASE(AspaceForkContract, WipeonforkRangeIsZeroInTheChild, PLATFORM_FEATURE_FORK)               \
    CASE(AspaceForkContract, ForkFailingAtAnyHostCallLeavesParentRunnable, PLATFORM_FEATURE_FORK)  \
    CASE(AspaceForkContract, FailedForksLeakNothing, PLATFORM_FEATURE_FORK)                        \
    CASE(AspaceForkContract, EagerCopiesAreTheFaultHandlerSetOnly, PLATFORM_FEATURE_FORK)          \
    CASE(AspaceForkContract, CopiesAreCountedWhenSomebodyWrites, PLATFORM_FEATURE_FORK)            \
    CASE(AspaceForkContract, FirstFaultInTheChildFindsItsHandler,                                  \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_GUEST)                \
    CASE(AspaceForkContract, FirstInterruptInTheChildFindsItsHandler,                              \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_GUEST)                \
    CASE(AspaceForkContract, GuestCodeWritesApartAfterFork,                                        \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_GUEST)                \
    CASE(AspaceForkContract, DestroyReleasesWhatTheChildWrote, PLATFORM_FEATURE_FORK)              \
    CASE(AspaceForkContract, StatsCountForks, PLATFORM_FEATURE_FORK)                               \
    CASE(MemoryContract, FreshMemoryReadsZero, 0)                                                  \
    CASE(MemoryContract, MapReplacesWhatWasThere, 0)                                               \
    CASE(MemoryContract, UnmapLeavesAHoleAndMayMeetOne, 0)                                         \
    CASE(MemoryContract, MapFailingAtAnyHostCallIsAllOrNothing, 0)                                 \
    CASE(MemoryContract, CopyInStopsAtTheFirstUnreachableByte, 0)                                  \
    CASE(MemoryContract, CopyOutStopsAtTheFirstUnreachableByte, 0)                                 \
    CASE(MemoryContract, ZeroStopsAtTheFirstUnreachableByte, 0)                                    \
    CASE(MemoryContract, CopiesAcceptAnyAddress, 0)                                                \
    CASE(MemoryContract, LargeCopiesArriveWhole, 0)                                                \
    CASE(MemoryContract, ReadOnlyPagesStopWrites, 0)                                               \
    CASE(MemoryContract, PagesWithoutAccessStopReads, 0)                                           \
    CASE(MemoryContract, ProtectKeepsContents, 0)                                                  \
    CASE(MemoryContract, StringsEndAtTheirNulOrAtTheLimit, 0)                                      \
    CASE(MemoryContract, StringRunningIntoAHoleFails, 0)                                           \
    CASE(MemoryContract, CompareAndExchangeActsOnceAndReportsTheValueSeen, 0)                      \
    CASE(MemoryContract, AtomicsOnUnreachableWordsFail, 0)                                         \
    CASE(MemoryContract, MoveCarriesContentsAndGrowsByZeros, 0)                                    \
    CASE(MemoryContract, MoveOfAnObjectGrowsByTheObject, 0)                                        \
    CASE(MemoryContract, DontneedBringsZerosOrTheObjectBack, 0)                                    \
    CASE(MemoryContract, AdviceThatDoesNotFitIsRefused, 0)                                         \
    CASE(MemoryContract, PopulatedPagesArePresent, 0)                                              \
    CASE(MemoryContract, ResidentTellsWrittenPages, 0)                                             \
    CASE(MemoryContract, PeekAndPokeActAsCopies, 0)                                                \
    CASE(MemoryContract, CopiesThatFindNoMemoryAskAndTryAgain, 0)                                  \
    CASE(MemoryContract, ShimMemoryComesZeroedAndAligned, 0)                                       \
    CASE(ObjectContract, SharedMappingsShowEachOther, 0)                                           \
    CASE(ObjectContract, PrivateWritesDoNotReachTheObject, 0)                                      \
    CASE(ObjectContract, ReadAndWriteMeetTheMappings, 0)                                           \
    CASE(ObjectContract, ReadAndWriteStopAtTheEnd, 0)                                              \
    CASE(ObjectContract, ReadAndWriteStopAtAnUnreachableGuestByte, 0)                              \
    CASE(ObjectContract, GrowingAddsZeros, 0)                                                      \
    CASE(ObjectContract, ShrinkingTakesPagesAwayEverywhere, 0)                                     \
    CASE(ObjectContract, PunchedRangeReadsZero, 0)                                                 \
    CASE(ObjectContract, SeekNeverSkipsData, 0)                                                    \
    CASE(ObjectContract, ObjectLivesWhileMapped, 0)                                                \
    CASE(ObjectContract, CreateFailingAtAnyHostCallLeavesNothing, 0)                               \
    CASE(ContextContract, FreshContextIsThatOfAFreshProcess, 0)                                    \
    CASE(ContextContract, CopyTakesRegistersAndExtendedState, 0)                                   \
    CASE(ContextContract, SavedStateCanBeLoadedBack, 0)                                            \
    CASE(ContextContract, ReservedMxcsrBitsAreRefused, 0)                                          \
    CASE(ContextContract, ResetForgetsExtendedState, 0)                                            \
    CASE(ContextContract, InterruptIsSeenOnceByTheNextRun, 0)                                      \
    CASE(NoGuestContract, RunReportsTheEnd, CONTRACT_WITHOUT_GUEST)                                \
    CASE(GuestContract, SystemCallComesOutWithItsArguments, PLATFORM_FEATURE_GUEST)                \
    CASE(GuestContract, RegistersSurviveASystemCall, PLATFORM_FEATURE_GUEST)                       \
    CASE(GuestContract, RedZoneSurvivesASystemCall, PLATFORM_FEATURE_GUEST)                        \
    CASE(GuestContract, SegmentBasesSurviveASystemCall, PLATFORM_FEATURE_GUEST)                    \
    CASE(GuestContract, VectorStateSurvivesOtherContexts, PLATFORM_FEATURE_GUEST)                  \
    CASE(GuestContract, CopiedContextContinuesWithTheVectorState, PLATFORM_FEATURE_GUEST)          \
    CASE(GuestContract, LoadedVectorStateIsWhatTheGuestSees, PLATFORM_FEATURE_GUEST)               \
    CASE(GuestContract, ReadOfUnmappedMemoryIsAFaultAtItsAddress, PLATFORM_FEATURE_GUEST)          \
    CASE(GuestContract, WriteToReadOnlyMemoryIsAProtectionFault, PLATFORM_FEATURE_GUEST)           \
    CASE(GuestContract, FaultCanBeRepairedAndTheInstructionRunAgain, PLATFORM_FEATURE_GUEST)       \
    CASE(GuestContract, JumpToNowhereIsAFault, PLATFORM_FEATURE_GUEST)                             \
    CASE(GuestContract, NonCanonicalAddressIsAGeneralFault, PLATFORM_FEATURE_GUEST)                \
    CASE(GuestContract, PrivilegedInstructionIsAGeneralFault, PLATFORM_FEATURE_GUEST)              \
    CASE(GuestContract, IllegalInstructionIsAFault, PLATFORM_FEATURE_GUEST)                        \
    CASE(GuestContract, DivisionByZeroIsAFault, PLATFORM_FEATURE_GUEST)                            \
    CASE(GuestContract, BreakpointComesOutBehindTheInstruction, PLATFORM_FEATURE_GUEST)            \
    CASE(GuestContract, TrapFlagStepsOneInstruction, PLATFORM_FEATURE_GUEST)                       \
    CASE(GuestContract, AWriteThatFindsNoMemoryCanBeRunAgain, PLATFORM_FEATURE_GUEST)              \
    CASE(GuestContract, TouchingPastAnObjectsEndIsABusFault, PLATFORM_FEATURE_GUEST)               \
    CASE(GuestContract, CompatSystemCallIsToldApart, PLATFORM_FEATURE_GUEST)                       \
    CASE(GuestContract, UnusableStackPointerDoesNotMatter, PLATFORM_FEATURE_GUEST)                 \
    CASE(GuestContract, CopyGoesOnInAnotherThread,                                                 \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, InterruptStopsARunningLoop,                                                \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, NoInterruptIsLostBetweenRuns,                                              \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, InterruptsAnywhereKeepEveryRegister,                                       \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, InterruptsAroundSystemCallsKeepEveryRegister,                              \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, InterruptsAroundCallsOfMappedCodeKeepEveryRegister,                        \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_HOST_FILES)          \
    CASE(GuestContract, AnAreaOfSequencesTellsTheProcessor, PLATFORM_FEATURE_GUEST)                \
    CASE(GuestContract, AnAreaThatCannotBeWrittenIsRefused, PLATFORM_FEATURE_GUEST)                \
    CASE(GuestContract, AnAreaIsLeftAloneInAnotherSpace, PLATFORM_FEATURE_GUEST)                   \
    CASE(GuestContract, AnInterruptedSequenceGoesOnAtItsAbortAddress,                              \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, BarriersAreThereOrRefused, PLATFORM_FEATURE_GUEST)                         \
    CASE(GuestContract, ABarrierEndsASequence, PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)  \
    CASE(GuestContract, ABarrierEndsASequenceInAFault,                                             \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, MappedCodeCallsOnInTheChildOfAFork,                                        \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_HOST_FILES |         \
             PLATFORM_FEATURE_FORK)                                                                \
    CASE(GuestContract, ThreadsRunGuestCodeInTheSameSpaceTogether,                                 \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(GuestContract, SharedWordIsAtomicBetweenGuestAndShim,                                     \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    DEATH(GuestContractDeath, RunningOutsideAnySpaceAborts, PLATFORM_FEATURE_GUEST,                \
          "precondition")                                                                          \
    CASE(ThreadContract, UnparkBeforeParkCounts, 0)                                                \
    CASE(ThreadContract, ParkEndsAtItsDeadline, 0)                                                 \
    CASE(ThreadContract, WaitEndsAtItsDeadline, 0)                                                 \
    CASE(ThreadContract, WaitRefusesAnotherValue, 0)                                               \
    CASE(ThreadContract, ProcessorNumbersAreInRange, 0)                                            \
    CASE(ThreadContract, SpawnedThreadStartsInItsSpace, PLATFORM_FEATURE_THREADS)                  \
    CASE(ThreadContract, UnparkWakesASleeper, PLATFORM_FEATURE_THREADS)                            \
    CASE(ThreadContract, InterruptWakesASleeper, PLATFORM_FEATURE_THREADS)                         \
    CASE(ThreadContract, WakeWakesWaiters, PLATFORM_FEATURE_THREADS)                               \
    CASE(ThreadContract, WaitIsNotEndedByAnInterrupt, PLATFORM_FEATURE_THREADS)                    \
    CASE(ThreadContract, ExitDestroysTheSpaceItIsGiven, PLATFORM_FEATURE_THREADS)                  \
    CASE(ThreadContract, VacatedSpaceIsFreeBeforeItsThreadEnds, PLATFORM_FEATURE_THREADS)          \
    CASE(ThreadContract, SpawnFailingAtAnyHostCallStartsNothing, PLATFORM_FEATURE_THREADS)         \
    CASE(ThreadContract, SpawnFailingAgainAndAgainTakesNothing, PLATFORM_FEATURE_THREADS)          \
    CASE(ThreadContract, FiveHundredThreadsComeAndGo, PLATFORM_FEATURE_THREADS)                    \
    CASE(AspaceForkContract, ThreadsAreSpawnedIntoANewForkFromOutside,                             \
         PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_THREADS)                                         \
    CASE(ThreadContract, SpawnFromOutsideIntoABusySpace,                                           \
         PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS)                                        \
    CASE(ThreadContract, ProcessorTimeGrowsWithWork, PLATFORM_FEATURE_THREADS)                     \
    CASE(ThreadContract, ProcessorTimeOfAThreadThatNeverStopsIsSeen, PLATFORM_FEATURE_THREADS)     \
    CASE(ThreadContract, ThreadsMigrateBetweenSpaces,                                              \
         PLATFORM_FEATURE_THREADS | PLATFORM_FEATURE_FORK)                                         \
    CASE(ClockContract, MonotonicTimeNeverGoesBack, 0)                                             \
    CASE(ClockContract, RealTimeIsOfThisCentury, 0)                                                \
    CASE(ClockContract, EntropyDoesNotRepeat, 0)                                                   \
    CASE(HostFileContract, UnknownGrantIsNotThere, 0)                                              \
    CASE(HostFileContract, FilesAreCreatedWrittenAndRead, PLATFORM_FEATURE_HOST_FILES)             \
    CASE(HostFileContract, DataMovesStraightToAndFromGuestMemory, PLATFORM_FEATURE_HOST_FILES)     \
    CASE(HostFileContract, ExclusiveCreationHappensOnce, PLATFORM_FEATURE_HOST_FILES)              \
    CASE(HostFileContract, SymbolicLinksAreNotFollowed, PLATFORM_FEATURE_HOST_FILES)               \
    CASE(HostFileContract, StatByNameSeesWhatAHandleWould, PLATFORM_FEATURE_HOST_FILES)            \
    CASE(HostFileContract, StatOfAPathStaysBelowAndFollowsNoLink, PLATFORM_FEATURE_HOST_FILES)     \
    CASE(HostFileContract, StatOfAPathAskedForOftenSeesEachChange, PLATFORM_FEATURE_HOST_FILES)    \
    CASE(HostFileContract, PathHandleCanBeReopened, PLATFORM_FEATURE_HOST_FILES)                   \
    CASE(HostFileContract, DirectoriesListEachEntryOnce, PLATFORM_FEATURE_HOST_FILES)              \
    CASE(HostFileContract, NamesCanBeMovedLinkedAndRemoved, PLATFORM_FEATURE_HOST_FILES)           \
    CASE(HostFileContract, AttributesCanBeSet, PLATFORM_FEATURE_HOST_FILES)                        \
    CASE(HostFileContract, SeekFindsDataAndHoles, PLATFORM_FEATURE_HOST_FILES)                     \
    CASE(HostFileContract, SpaceIsAllocatedAndGivenBack, PLATFORM_FEATURE_HOST_FILES)              \
    CASE(HostFileContract, NamelessFilesCanBeLinked, PLATFORM_FEATURE_HOST_FILES)                  \
    CASE(HostFileContract, ExtendedAttributesAreKept, PLATFORM_FEATURE_HOST_FILES)                 \
    CASE(HostFileContract, ReadOnlyGrantRefusesEveryChange, PLATFORM_FEATURE_HOST_FILES)           \
    CASE(HostFileContract, MappedFileMeetsTheFile, PLATFORM_FEATURE_HOST_FILES)                    \
    CASE(HostFileContract, StreamsNeverBlock, PLATFORM_FEATURE_HOST_FILES)                         \
    CASE(HostFileContract, ParkWaitsForAStream,                                                    \
         PLATFORM_FEATURE_HOST_FILES | PLATFORM_FEATURE_THREADS)                                   \
    CASE(HostFileContract, OpenFailingAtAnyHostCallLeaksNothing, PLATFORM_FEATURE_HOST_FILES)      \
    DEATH(HostFileContractDeath, NameWithASlashAborts, PLATFORM_FEATURE_HOST_FILES,                \
          "precondition")                                                                          \
    DEATH(HostFileContractDeath, NameDotDotAborts, PLATFORM_FEATURE_HOST_FILES, "precondition")    \
    CASE(HostSocketContract, UnknownPublishedPortIsNotThere, 0)                                    \
    CASE(HostSocketContract, PublishedPortTakesConnections, PLATFORM_FEATURE_HOST_SOCKETS)         \
    CASE(HostSocketContract, StreamsCarryBytesAndTheirEnd, PLATFORM_FEATURE_HOST_SOCKETS)          \
    CASE(HostSocketContract, SendingNeverBlocks, PLATFORM_FEATURE_HOST_SOCKETS)                    \
    CASE(HostSocketContract, DatagramsKeepTheirBordersAndSender, PLATFORM_FEATURE_HOST_SOCKETS)    \
    CASE(HostSocketContract, ControlDataGoesAndComes, PLATFORM_FEATURE_HOST_SOCKETS)               \
    CASE(HostSocketContract, DevicesCanBeLookedAt, PLATFORM_FEATURE_HOST_SOCKETS)                  \
    CASE(HostSocketContract, DataMovesStraightToAndFromGuestMemory, PLATFORM_FEATURE_HOST_SOCKETS) \
    CASE(HostSocketContract, OpenFailingAtAnyHostCallLeaksNothing, PLATFORM_FEATURE_HOST_SOCKETS)  \
    DEATH(HostSocketContractDeath, UnknownSendFlagAborts, PLATFORM_FEATURE_HOST_SOCKETS,           \
          "precondition")                                                                          \
    DEATH(InstanceContractDeath, PanicEndsEverythingWithItsWords, 0, "last words")

#define CONTRACT_SUITES(SUITE)                                                                     \
    SUITE(InterfaceContract)                                                                       \
    SUITE(AspaceContract)                                                                          \
    SUITE(AspaceContractDeath)                                                                     \
    SUITE(ManySpacesContract)                                                                      \
    SUITE(ManySpacesContractDeath)                                                                 \
    SUITE(SingleSpaceContract)                                                                     \
    SUITE(AspaceForkContract)                                                                      \
    SUITE(MemoryContract)                                                                          \
    SUITE(ObjectContract)                                                                          \
    SUITE(ContextContract)                                                                         \
    SUITE(NoGuestContract)                                                                         \
    SUITE(GuestContract)                                                                           \
    SUITE(GuestContractDeath)                                                                      \
    SUITE(ThreadContract)                                                                          \
    SUITE(ClockContract)                                                                           \
    SUITE(HostFileContract)                                                                        \
    SUITE(HostFileContractDeath)                                                                   \
    SUITE(HostSocketContract)                                                                      \
    SUITE(HostSocketContractDeath)                                                                 \
    SUITE(InstanceContractDeath)
