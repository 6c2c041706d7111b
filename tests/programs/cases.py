"""Real programs, as Debian ships them. Each must give the same output and status natively and under pal.

Commands print no process ids, times or addresses. CMake reads the names from the lines that start with `case("`.
"""
from dataclasses import dataclass


@dataclass
class Case:
    argv: list
    stdin: bytes = b""
    timeout: int = 280
    sort: bool = False  # lines come in any order (background jobs)
    status: object = 0  # what the native run must end with; None: anything


CASES = {}


def case(name, *argv, **more):
    CASES[name] = Case(list(argv), **more)


# README's own line, without the process id.
case("first-command", "/bin/bash", "-c", 'for i in 3 1 2; do echo "hello $i"; done | sort')

case("busybox-ls-wc", "busybox", "sh", "-c", "ls /bin | wc -l")
case("busybox-pipeline", "busybox", "sh", "-c", "seq 1 1000 | busybox grep 7 | busybox sort -rn | busybox head -5")
case("busybox-applets", "busybox", "sh", "-c",
     "cd /tmp && mkdir -p bb && echo text > bb/f && busybox cat bb/f && busybox md5sum bb/f && busybox rm -r bb && busybox ls bb",
     status=1)
case("busybox-awk-sed", "busybox", "sh", "-c", "busybox awk -F: '{print $3, $1}' /etc/passwd | busybox sed 's/^0 /zero /' | busybox sort")
case("busybox-subshell", "busybox", "sh", "-c", "x=1; (x=2; echo $x); echo $x; f() { return 7; }; f; echo $?; exit 5", status=5)
case("busybox-find", "busybox", "find", "/etc", "-maxdepth", "1", "-name", "*.conf")
case("busybox-tar", "busybox", "sh", "-c", "cd /usr/share/common-licenses && busybox tar c . | busybox gzip | busybox tar tz | busybox sort")

case("bash-pipeline", "bash", "-c", "printf '%s\\n' b a c | sort | tr a-z A-Z | cat -n")
case("bash-subshell", "bash", "-c", "x=1; (x=2; cd /usr; echo $x $PWD); echo $x; (exit 3); echo $?; (exit 4) || echo failed")
case("bash-substitution", "bash", "-c", 'a=$(echo one; echo two); echo "$a"; echo "$(ls -d /usr/*in | wc -l) $(< /etc/debian_version)"; echo `echo nested $(echo deep)`')
case("bash-heredoc", "bash", "-c", 'x=value; cat <<EOF; cat <<"EOF"; cat <<< "here string"\nexpands $x $(echo and runs)\nEOF\nkeeps $x\nEOF')
case("bash-heredoc-big", "bash", "-c", 'cat <<EOF | wc\n' + "a long line of a big here-document\n" * 3000 + "EOF")
case("bash-background", "bash", "-c", "for i in 1 2 3 4; do (sleep 0.0$i; echo job $i; exit $i) & done; wait; echo all", sort=True)
case("bash-wait-status", "bash", "-c", "(sleep 0.05; exit 7) & a=$!; (exit 3) & b=$!; wait $a; echo $?; wait $b; echo $?; wait 99999 2>/dev/null; echo $?")
case("bash-wait-n", "bash", "-c", "f=$(mktemp -u); mkfifo $f; cat $f & (exit 9) & wait -n; echo first $?; : > $f; wait; echo rest; rm $f")
case("bash-trap-exit", "bash", "-c", "trap 'echo leaving $?' EXIT; trap 'echo usr1' USR1; kill -USR1 $$; (exit 2); exit 4", status=4)
case("bash-trap-signals", "bash", "-c",
     "trap 'echo term; exit 3' TERM; trap '' HUP; trap 'echo chld' CHLD; kill -HUP $$; /bin/true; kill -TERM $$; echo no", status=3)
case("bash-trap-in-wait", "bash", "-c", "trap 'a=alarm' USR1; (while sleep 1; do kill -USR1 $$; done) & k=$!; sleep 1000 & s=$!; wait $s; echo $(( $? > 128 )) $a; "
     "kill $k; { wait $k; wait $k; kill $s; wait $s; } 2>/dev/null; echo $?")
case("bash-killed", "bash", "-c", "kill -TERM $$", status=143)
case("bash-child-killed", "bash", "-c", "sleep 10 & kill -KILL $!; wait $! 2>/dev/null; echo $?; (sh -c 'kill -SEGV $$'; echo $?) 2>/dev/null")
case("bash-200-forks", "bash", "-c", "for ((i = 0; i < 200; i++)); do /bin/true || echo failed; done; echo done")
case("bash-process-substitution", "bash", "-c", "diff <(seq 1 10) <(seq 2 11); paste <(echo a) <(echo b)")
case("bash-redirections", "bash", "-c",
     'exec 5> /tmp/redirected; echo to five >&5; echo more >> /tmp/redirected; exec 5>&-; cat /tmp/redirected; rm /tmp/redirected; ls /nonexistent 2>&1 | wc -l; echo x > /proc/nonexistent/x',
     status=1)
case("bash-read-loop", "bash", "-c", "while IFS=: read -r name _ uid rest; do echo $uid $name; done < /etc/passwd | sort -n | head -3")
case("bash-arithmetic", "bash", "-c", "declare -A a; a[x]=5; for i in {1..20}; do (( a[x] += i * i )); done; echo ${a[x]} $(( 2 ** 40 )) ${#a[@]}")
case("bash-pipefail", "bash", "-c", "set -o pipefail; false | true; echo $?; true | true; echo ${PIPESTATUS[@]}; seq 100000 | tail -1")
case("bash-coproc", "bash", "-c", "coproc cat; echo through >&${COPROC[1]}; read -r line <&${COPROC[0]}; echo $line")
case("bash-jobs", "bash", "-c", "set -m; sleep 6 & jobs | cut -c1-12; fg >/dev/null; echo $?; jobs | wc -l")
case("bash-stdin-script", "bash", stdin=b"echo from stdin\nread x\nthe next line\necho got $x\nexit 6\n", status=6)
case("bash-nested", "bash", "-c", "bash -c 'bash -c \"bash -c \\\"echo four deep; exit 11\\\"\"'", status=11)
case("bash-many-at-once", "bash", "-c", "for i in {1..40}; do (echo $i | md5sum | cut -c1-4) & done; wait", sort=True)
case("bash-not-found", "bash", "-c", "no-such-command-here; echo $?; /etc/passwd; echo $?; /etc; echo $?")
case("bash-printf", "bash", "-c", 'printf "%05.2f %x %q\\n" 3.14159 255 "a b"')
case("bash-ulimit-umask", "bash", "-c", "umask 027; umask; touch /tmp/um && stat -c %a /tmp/um; rm /tmp/um; ulimit -n 100; ulimit -n")
case("bash-timeout", "bash", "-c", "timeout 0.2 sleep 1000; echo $?; timeout 1000 true; echo $?")
case("bash-cd-glob", "bash", "-c", "cd /usr/share && shopt -s nullglob && echo com*-licenses ../*/games; pwd; cd - >/dev/null; pwd")
case("bash-pipe-closed", "bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")
case("dash", "dash", "-c", "for i in 1 2 3; do echo $i; done | while read n; do echo got $n; done; trap 'echo bye' EXIT; (exit 2)", status=2)

case("true", "/bin/true")
case("false", "/bin/false", status=1)
case("cat-stdin", "cat", stdin=b"some input\n" * 1000)
case("cat-big", "cat", stdin=bytes(range(256)) * 8192)
case("echo-arguments", "/bin/echo", "a", "", "b c", "*", "--", "-n")
case("env-cleared", "env", "-i", "A=1", "env")
case("id", "id")
case("uname", "uname", "-som")
case("pwd", "pwd")
case("ls-l-etc", "ls", "-l", "/etc/passwd", "/etc/alternatives")
case("ls-lR-doc", "ls", "-lR", "/usr/share/doc")
case("ls-missing", "ls", "/nonexistent", status=2)
case("find-so", "bash", "-c", 'find /usr -name "*.so*" 2>/dev/null | head')
case("find-all-so", "bash", "-c", 'find /usr/lib -name "*.so*" -type f 2>/dev/null | sort | tail -20')
case("find-exec", "find", "/etc/default", "-type", "f", "-exec", "wc", "-c", "{}", "+")
case("xargs", "bash", "-c", "find /usr/share/common-licenses -type f | sort | xargs -n 3 -P 1 wc -l")
case("xargs-parallel", "bash", "-c", "seq 1 60 | xargs -P 8 -n 1 echo", sort=True)
case("grep-r", "bash", "-c", "grep -r GNU /usr/share/common-licenses | sort | md5sum; grep -rc root /etc/passwd; grep -q nothing /etc/passwd; echo $?")
case("grep-stops-early", "bash", "-c", "seq 1 100000 | grep 3 >/dev/null; echo ${PIPESTATUS[1]}; yes | head -100000 | grep -q y; echo ${PIPESTATUS[2]}")
case("sort-big", "bash", "-c", "seq 200000 -1 1 | sort -n | md5sum; seq 1 100000 | sort -R | sort -n | tail -1")
case("sort-u-join", "bash", "-c", "sort -t: -k3 -n /etc/passwd | cut -d: -f1,3 | head -5; comm -12 <(seq 10 20) <(seq 15 30)")
case("awk", "awk", "-F:", "{ s += $3; n[$7]++ } END { print s; for (k in n) print k, n[k] | \"sort\" }", "/etc/passwd")
case("awk-pipe-system", "awk", 'BEGIN { system("echo from system"); "date +%Y" | getline y; print (y > 2000); print 1 / 3 }')
case("sed", "sed", "-n", "s/^\\([^:]*\\):.*$/<\\1>/p", "/etc/passwd")
case("sed-in-place", "bash", "-c", "cp /etc/passwd /tmp/p && sed -i s/root/toor/ /tmp/p && head -1 /tmp/p; rm /tmp/p")
case("tar-gzip", "bash", "-c", "cd /usr/share && tar c common-licenses | gzip | tar tz | sort")
case("tar-extract", "bash", "-c", "rm -rf /tmp/x && mkdir /tmp/x && cd /usr/share && tar c common-licenses | tar x -C /tmp/x && diff -r common-licenses /tmp/x/common-licenses && ls /tmp/x; rm -rf /tmp/x")
case("gzip-roundtrip", "bash", "-c", "gzip -c /usr/share/common-licenses/GPL-3 | gunzip | cmp - /usr/share/common-licenses/GPL-3 && echo same")
case("dd", "bash", "-c", "dd if=/dev/zero bs=64k count=100 2>/dev/null | wc -c; dd if=/dev/urandom bs=1 count=10 2>/dev/null | wc -c")
case("head-tail-cut", "bash", "-c", "seq 1 100 | tail -n +95 | head -n 3; tail -c 10 /etc/passwd | wc -c; cut -c1-3 /etc/passwd | sort -u | wc -l")
case("cp-mv-rm", "bash", "-c", "cd /tmp && mkdir m && cp -r /usr/share/common-licenses m/a && mv m/a m/b && ls m/b | head -3 && chmod -R u-w m/b && chmod -R u+w m/b && rm -rf m && ls m", status=2)
case("ln-readlink", "bash", "-c", "cd /tmp && ln -s target l && readlink l && ln -s /etc/passwd p && head -c 4 p && rm l p; readlink -f /bin/sh")
case("mkfifo", "bash", "-c", "mkfifo /tmp/ff && (echo through > /tmp/ff &) && cat /tmp/ff; rm /tmp/ff")
case("stat-file", "stat", "-c", "%n %s %a %F %U", "/etc/passwd", "/bin/bash", "/dev/null")
case("proc-self", "bash", "-c", "tr '\\0' ' ' < /proc/self/cmdline; readlink /proc/self/exe; ls /proc/self/fd | wc -l; grep -c . /proc/self/maps | wc -l; head -c 5 /proc/self/status")
case("getconf", "bash", "-c", "getconf PAGESIZE; ulimit -n 300; getconf OPEN_MAX; getconf LONG_BIT")
case("date-utc", "date", "-u", "-d", "@86400", "+%F %T")
case("sleep-short", "sleep", "0.05")
case("tee", "bash", "-c", "echo both | tee /tmp/t1 /dev/stderr; cat /tmp/t1; rm /tmp/t1")
case("factor-expr", "bash", "-c", "factor 1234567890; expr 6 \\* 7; seq -s, 1 10; printf '%b' 'a\\tb\\n'")
case("split-cat", "bash", "-c", "cd /tmp && seq 1 1000 | split -l 100 - part. && ls part.* | wc -l && cat part.* | md5sum && rm part.*")
case("sha-sums", "bash", "-c", "sha256sum /bin/bash /bin/ls | cut -d' ' -f1; md5sum < /bin/ls")
case("od-hexdump", "bash", "-c", "head -c 64 /bin/true | od -An -tx1; printf abc | od -c")
case("script-hashbang", "bash", "-c", "printf '#!/usr/bin/awk -f\\nBEGIN { print \"awk script\" }\\n' > /tmp/s && chmod +x /tmp/s && /tmp/s; rm /tmp/s")

case("python-print", "/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2], sum(range(1000)))")
case("python-fork", "/usr/bin/python3", "-c", """
import os
pids = []
for i in range(8):
    pid = os.fork()
    if pid == 0:
        os._exit(i)
    pids.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids])
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b'from the child')
    os._exit(0)
print(os.read(r, 100)); os.wait()
""")
case("python-subprocess", "/usr/bin/python3", "-c", """
import subprocess
print(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout)
print(subprocess.check_output('seq 1 5 | sort -r', shell=True))
p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(p.communicate(b'x' * 100000)[0] == b'x' * 100000, p.returncode)
print(subprocess.call(['false']), subprocess.run(['sh', '-c', 'kill -9 $$']).returncode)
try:
    subprocess.run(['sleep', '1000'], timeout=0.2)
except subprocess.TimeoutExpired:
    print('timeout')
try:
    subprocess.run(['/no/such'])
except FileNotFoundError as e:
    print(e)
""")
case("python-threading", "/usr/bin/python3", "-c", """
import threading, queue, time
q, out, lock = queue.Queue(), [], threading.Lock()
def work():
    while (n := q.get()) is not None:
        with lock:
            out.append(n * n)
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[q.put(i) for i in range(1000)]
[q.put(None) for _ in threads]
[t.join() for t in threads]
print(len(out), sum(out))
e = threading.Event()
threading.Timer(0.05, e.set).start()
print(e.wait(500), e.wait(0))
""")
case("python-multiprocessing", "/usr/bin/python3", "-c", """
import multiprocessing as mp
def square(x): return x * x
if __name__ == '__main__':
    with mp.get_context('fork').Pool(4) as pool:
        print(pool.map(square, range(20)))
    q = mp.Queue()
    ps = [mp.Process(target=q.put, args=(i,)) for i in range(4)]
    [p.start() for p in ps]
    print(sorted(q.get() for _ in ps))
    [p.join() for p in ps]
    print([p.exitcode for p in ps])
    v = mp.Value('i', 0)
    def add():
        for _ in range(100):
            with v.get_lock(): v.value += 1
    ps = [mp.Process(target=add) for _ in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]
    print(v.value)
""")
case("python-signals", "/usr/bin/python3", "-c", """
import signal, os, sys, time
signal.signal(signal.SIGUSR1, lambda s, f: print('handler', s))
os.kill(os.getpid(), signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda s, f: print('alarm'))
signal.setitimer(signal.ITIMER_REAL, 0.05)
time.sleep(0.2)
print(signal.sigtimedwait([signal.SIGUSR2], 0.05))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
""", status=137)
case("python-files", "/usr/bin/python3", "-c", """
import os, tempfile, shutil, json, mmap
d = tempfile.mkdtemp()
p = os.path.join(d, 'f')
with open(p, 'w') as f: json.dump({'a': [1, 2, 3]}, f)
print(json.load(open(p)), os.stat(p).st_size)
with open(p, 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0); m[0:1] = b'['; m.close()
print(open(p).read())
os.makedirs(d + '/x/y/z'); print(sorted(len(f) for _, _, f in os.walk(d)))
shutil.rmtree(d); print(os.path.exists(d), len(os.listdir('/usr/bin')) > 100)
""")
case("python-select", "/usr/bin/python3", "-c", """
import select, os, selectors
r, w = os.pipe()
print(select.select([r], [w], [], 0)[1] == [w])
os.write(w, b'x')
p = select.poll(); p.register(r, select.POLLIN)
print(p.poll(100000) == [(r, select.POLLIN)])
""")
case("python-exit", "/usr/bin/python3", "-c", "raise SystemExit(33)", status=33)
case("python-segfault", "/usr/bin/python3", "-c", "import ctypes; ctypes.string_at(0)", status=139)
case("python-numbers", "/usr/bin/python3", "-c", "import decimal, hashlib, math, zlib; print(decimal.Decimal(2).sqrt(), hashlib.sha256(b'x').hexdigest(), math.sin(1), zlib.crc32(b'abc'))")

case("perl-fork", "perl", "-e", '$| = 1; my $pid = fork; die unless defined $pid; if (!$pid) { print "child\\n"; exit 5 } waitpid $pid, 0; print "parent ", $? >> 8, "\\n"')
case("perl-pipes", "perl", "-e", 'print `seq 1 3`; open my $f, "-|", "sort", "-r", "/etc/passwd" or die; my @l = <$f>; close $f; print scalar(@l) > 0 ? "ok\\n" : "no\\n"; system "exit 3"; print $? >> 8, "\\n"')
case("perl-signals", "perl", "-e", '$| = 1; $SIG{ALRM} = sub { print "alarm\\n" }; alarm 1; select undef, undef, undef, 3; $SIG{CHLD} = "IGNORE"; print "end\\n"; kill TERM => $$; sleep 5', status=143)
case("perl-regex-sort", "perl", "-ne", 'push @a, $1 if /^(\\w+):/; END { print join(",", sort @a), "\\n" }', "/etc/passwd")

case("sqlite", "bash", "-c", """
rm -f /tmp/t.db
sqlite3 /tmp/t.db 'create table t(a integer primary key, b text); begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) insert into t select i, hex(i * 7) from n; commit; select count(*), max(b) from t;'
sqlite3 /tmp/t.db 'pragma integrity_check; update t set b = "x" where a % 2; select b, count(*) from t group by b having count(*) > 1; vacuum;'
sqlite3 /tmp/t.db 'pragma journal_mode = wal; insert into t values (5000, "wal"); select * from t where a = 5000;'
ls /tmp/t.db*; rm -f /tmp/t.db*
""")
case("sqlite-concurrent", "bash", "-c", """
rm -f /tmp/c.db; sqlite3 /tmp/c.db 'create table t(a)'
for i in 1 2 3 4; do (for j in 1 2 3 4 5; do sqlite3 -cmd '.timeout 200000' /tmp/c.db "insert into t values ($i)"; done) & done; wait
sqlite3 /tmp/c.db 'select a, count(*) from t group by a'; rm -f /tmp/c.db*
""")
case("gcc-compile-and-run", "bash", "-c", """
cd /tmp && printf '#include <stdio.h>\\nint main(void) { puts("compiled inside"); return 4; }\\n' > c.c && gcc -O1 -o c.out c.c && ./c.out; s=$?; rm -f c.c c.out; exit $s
""", status=4)
# They lay shadow memory over the whole address space, so programs, stacks and mappings must lie where Linux puts them. A host whose mappings
# have more than 28 random bits is often too random for them: then again.
case("sanitizers", "bash", "-c", """
cd /tmp && d=$(mktemp -d) && cd $d && cat >t.c <<'END'
#include <pthread.h>
#include <stdlib.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static int n;
static void *add(void *lock)
{
    for (int i = 0; i < 1000; i++) {
        if (lock)
            pthread_mutex_lock(&m);
        n++;
        if (lock)
            pthread_mutex_unlock(&m);
    }
    return NULL;
}
int main(int argc, char **argv)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, add, argc > 1 ? NULL : &m);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    char *p = malloc(3);
    free(p);
    return (argc > 2 && p[atoi(argv[2])]) || n != 4000; /* in turn: the race may lose some */
}
END
run() {
    for i in {1..20}; do "$@" >out 2>&1; s=$?; grep -q 'unexpected memory mapping' out || break; done
    echo $s $(grep -o 'data race\\|heap-use-after-free' out | sort -u)
}
gcc -g -fsanitize=thread -o thread t.c && run ./thread && run ./thread raced
gcc -g -fsanitize=address,undefined -o address t.c && ASAN_OPTIONS=detect_leaks=0 run ./address raced 1
cd /tmp; rm -rf $d
""")
