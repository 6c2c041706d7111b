/* The <stdlib.h> of freestanding code, which uthash includes: nothing of it is used. */
