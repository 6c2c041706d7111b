#!/usr/bin/env python3
"""Databases, compilers, version control and other tools at their own work, natively and under `pal run` (scripted.py).

    applications.py --pal build/pal NAME
"""
import sys

import scripted

SCRIPTS = {}


def script(*args, **kwargs):
    scripted.add(SCRIPTS, *args, **kwargs)


script("postgresql", ["initdb", "postgres", "psql", "pgbench", "chroot"], r"""
chmod 755 . && mkdir data && chown 65534:65534 data
# Its server refuses to run as root.
as_user=; [ "$(id -u)" = 0 ] && as_user="chroot --userspec=65534:65534 /"
# Unpacked below a directory that is private, the programs cannot be run by him: then from here. They find their files beside them.
if ! $as_user initdb --version >/dev/null 2>&1; then
  programs=$(dirname "$(command -v initdb)"); unpacked=${programs%/usr/lib/postgresql/*}; mkdir tree
  (cd "$unpacked" && find usr/lib/postgresql usr/share/postgresql usr/lib/x86_64-linux-gnu ! -type d ! -name '*.bc' ! -name 'libLLVM*' ! -name 'libz3*' |
    tar cf - -T -) | tar xf - -C tree && chmod 755 tree
  export PATH=$dir/tree${programs#"$unpacked"}:$PATH LD_LIBRARY_PATH=$dir/tree/usr/lib/x86_64-linux-gnu
  $as_user initdb --version >/dev/null || { echo "skipped: another user cannot run initdb"; exit 77; }
fi
$as_user initdb -D "$dir/data" -U owner -A trust --no-sync -E UTF8 --locale=C > initdb.log 2>&1 || { cat initdb.log; exit 9; }
start() {
  $as_user postgres -D "$dir/data" -p $PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir/data" \
    -c shared_buffers=16MB -c fsync=off -c jit=off >> server.log 2>&1 & server=$!
  wait_for psql -h 127.0.0.1 -p $PORT -U owner -d postgres -c 'select 1'
}
sql() { psql -h "${host:-127.0.0.1}" -p $PORT -U owner -d postgres -At -c "$1" 2>&1; }
start
sql "create table t(id int primary key, body text)"
sql "insert into t select i, repeat('x', i % 100) from generate_series(1, 20000) i"
sql "select count(*), sum(length(body)), md5(string_agg(body, '' order by id)) from t"
host=$dir/data sql "select 'by the local socket', count(*) from t where id % 7 = 0"
sql "create index on t(body); analyze t; select relkind, count(*) from pg_class where relname like 't%' group by 1 order by 1"
pgbench -h 127.0.0.1 -p $PORT -U owner -i -q -s 1 postgres > bench.log 2>&1; echo pgbench -i $?
pgbench -h 127.0.0.1 -p $PORT -U owner -c 4 -j 2 -T "${PGBENCH_SECONDS:-3}" postgres > bench.log 2>&1; echo pgbench $?
grep -E 'number of (clients|failed)' bench.log
sql "select sum(abalance) = (select sum(tbalance) from pgbench_tellers) and sum(abalance) = (select sum(bbalance) from pgbench_branches)
     and sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts"
# A backend is killed: the server ends the others, recovers and goes on.
backend=$(sql "select pid from pg_stat_activity where backend_type = 'checkpointer'")
sql "insert into t values (100000, 'before the crash')" ; kill -KILL $backend
wait_for grep 'automatic recovery in progress' server.log
wait_for psql -h 127.0.0.1 -p $PORT -U owner -d postgres -c 'select 1'
sql "select body from t where id = 100000"; grep -c 'automatic recovery in progress' server.log
# The whole server is killed, too.
sql "insert into t values (100001, 'before the second')"
others=$(sql "select string_agg(pid::text, ' ') from pg_stat_activity where pid <> pg_backend_pid()")
kill -KILL $server; wait $server 2>/dev/null; for pid in $others; do wait_for sh -c "! kill -0 $pid || grep 'State:.Z' /proc/$pid/status"; done
start; sql "select body from t where id = 100001"; sql "select count(*), sum(length(body)) from t"
kill -INT $server; wait $server; echo stopped $?
grep -E 'PANIC|could not|corrupt' server.log | grep -v 'recovery mode' | head
""", timeout=240)

script("sqlite-wal", ["sqlite3"], r"""
sqlite3 db "pragma journal_mode=wal; create table t(id integer primary key, who text, n int);"
writer() { for i in $(seq 60); do echo "begin immediate; insert into t(who, n) values('$1', $i); insert into t(who, n) values('$1', -$i); commit;"; done |
  sqlite3 -cmd '.timeout 200000' db; }
writer a & writer b & wait
sqlite3 db "select who, count(*), sum(n) from t group by who order by who; pragma integrity_check; pragma journal_mode"
sqlite3 db "with recursive c(i) as (select 1 union all select i + 1 from c where i < 10000) insert into t(who, n) select 'many', i from c;
  select count(*), sum(n) from t where who = 'many'; pragma wal_checkpoint(truncate)"
ls -l db | awk '{print $5}'; sqlite3 db "select who, n from t order by who, n" | md5sum
""")

script("git", ["git"], r"""
unset $(git rev-parse --local-env-vars) XDG_CONFIG_HOME
export GIT_CONFIG_NOSYSTEM=1 HOME=$dir GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
git config --global user.name Nobody; git config --global user.email nobody@localhost; git config --global init.defaultBranch main
git init -q one && cd one
for i in $(seq 60); do mkdir -p d$((i % 7)); seq $i $((i * 50)) > d$((i % 7))/f$i; done
git add . && git commit -q -m first && git rev-parse HEAD
git checkout -q -b side && sed -i s/50/fifty/ d1/* && git commit -qam side && git checkout -q main && rm d2/f2 && git commit -qam 'one less'
git merge -q -m merged side 2>&1; git log --oneline --graph | cat; git status --short | wc -l
cd .. && git clone -q one two 2>&1 && cd two && git fsync 2>/dev/null; git log -1 --format=%H%n%T
git gc -q 2>&1; git count-objects -v | grep -E '^(count|in-pack|packs)'; git fsck --full 2>&1
seq 9 > new && git add new && git commit -qm new && git push -q origin HEAD:refs/heads/pushed 2>&1; git -C ../one rev-parse pushed
git diff HEAD~2 --stat | tail -1; git grep -c fifty | head -3; git blame d1/f1 | awk '{print $1}' | sort | uniq -c | head -3
git bundle create -q ../all.bundle --all && git clone -q ../all.bundle ../three 2>&1 && git -C ../three rev-parse HEAD
git archive HEAD | tar t | md5sum; git stash list; git worktree add -q ../four side 2>&1; ls ../four | wc -l
""")

PROJECT = r"""
mkdir src && for i in $(seq 8); do
  printf '#include "p.h"\nint f%d(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * %d + strlen(NAME); return s; }\n' $i $i > src/f$i.c
done
cat > src/p.h <<'END'
#include <stdio.h>
#include <string.h>
#define NAME "project"
END
{ echo '#include "p.h"'; for i in $(seq 8); do echo "int f$i(int);"; done; echo 'int main(void) { long s = 0;'
  for i in $(seq 8); do echo "s += f$i($i * 1000);"; done; echo 'printf("%ld\n", s); return 0; }'; } > src/main.c
cat > src/Makefile <<'END'
objects := $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
program: $(objects)
	$(CC) -o $@ $^
%.o: %.c p.h
	$(CC) -O2 -g -Wall -ffile-prefix-map=$(CURDIR)=. -c -o $@ $<
clean:
	rm -f *.o program
END
"""
script("make", ["make", "gcc"], PROJECT + r"""
cd src && make -j2 2>&1 | sed "s#$dir#DIR#g" | sort; ./program; md5sum *.o program
touch f3.c && make -j2 2>&1 | wc -l; make -q; echo up to date $?
make -s clean && make -s -j2 && md5sum *.o program; echo 'int f1(' > f1.c; make -k -j2 > log 2>&1; echo broken $?; grep -c error: log
""")

script("archives", ["tar", "xz", "gzip", "bzip2", "zstd"], r"""
sources=$(find /usr/share/perl/ /usr/share/zoneinfo -type f -size +0 -size -60k | sort | head -400)
tar cf all.tar --sort=name --owner=0 --group=0 --mtime=@0 $sources 2>/dev/null; md5sum < all.tar
for tool in "gzip -n" bzip2 "xz -T2 -1" "zstd -q -T2 --rm -f"; do
  cp all.tar a.tar; $tool a.tar; file=$(ls a.tar.*); ls -l $file | awk '{print $5}'
  mkdir out && tar xf $file -C out && (cd out && find . -type f | sort | xargs md5sum | md5sum); rm -rf out a.tar*
done
tar czf - -C / usr/share/perl 2>/dev/null | tar tzf - | sort | md5sum
# All of /usr/share, when there is time.
for tool in ${WHOLE_BY:-}; do
  tar cf - --sort=name -C / usr/share | $tool -q -T2 -1 > whole.$tool; $tool -dc whole.$tool | tar df - -C / && echo "$tool: no difference"
  $tool -dc whole.$tool | md5sum; rm whole.$tool
done
""", timeout=1500)

script("ssh-keygen", ["ssh-keygen"], r"""
for type in ed25519 rsa ecdsa; do
  ssh-keygen -q -t $type -N '' -C comment -f key-$type; echo $?; ssh-keygen -l -f key-$type.pub | awk '{print $1, $3, $4}'
  echo data | ssh-keygen -Y sign -f key-$type -n file > signed-$type 2>/dev/null; echo "user $(cat key-$type.pub)" > allowed
  echo data | ssh-keygen -Y verify -f allowed -I user -n file -s signed-$type | awk '{print $1, $2, $3}'
done
ssh-keygen -p -q -P '' -N secret -f key-ed25519 >/dev/null; echo $?; ssh-keygen -y -P wrong -f key-ed25519 2>&1 | grep -c incorrect
stat -c '%a %n' key-*
""")

script("node", ["node"], r"""
cat > threads.js <<'END'
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
const {spawn, spawnSync, execSync, fork} = require('child_process');
const fs = require('fs'), zlib = require('zlib'), crypto = require('crypto');
if (!isMainThread) {
  let s = 0; for (let i = 0; i < 3e6; i++) s = (s + i * workerData) % 1000003;
  const view = new Int32Array(workerData_shared()); Atomics.add(view, 0, 1); Atomics.notify(view, 0);
  parentPort.postMessage(s);
} else main();
function workerData_shared() { return require('worker_threads').getEnvironmentData('shared'); }
async function main() {
  const shared = new SharedArrayBuffer(4);
  require('worker_threads').setEnvironmentData('shared', shared);
  const results = await Promise.all([1, 2, 3, 4].map(n => new Promise((ok, bad) => {
    const w = new Worker(__filename, {workerData: n}); w.on('message', ok); w.on('error', bad);
  })));
  console.log(results.join(' '), new Int32Array(shared)[0]);
  console.log(execSync('echo from a shell; exit 0').toString().trim(), spawnSync('sh', ['-c', 'kill -9 $$']).signal);
  const child = spawn('sort', ['-r']); let text = ''; child.stdout.on('data', d => text += d);
  child.stdin.end('a\nc\nb\n'); await new Promise(ok => child.on('close', ok)); console.log(JSON.stringify(text));
  const order = []; setTimeout(() => order.push('t20'), 20); setTimeout(() => order.push('t1'), 1); setImmediate(() => order.push('i'));
  process.nextTick(() => order.push('n')); await new Promise(ok => setTimeout(ok, 200)); console.log(order.indexOf('n') == 0, order.length);
  const big = crypto.createHash('sha256'); fs.writeFileSync('f', Buffer.alloc(1 << 20, 'abc'));
  fs.createReadStream('f').pipe(zlib.createGzip()).pipe(fs.createWriteStream('f.gz')).on('close', async () => {
    console.log(big.update(zlib.gunzipSync(fs.readFileSync('f.gz'))).digest('hex'));
    console.log((await fs.promises.readdir('.')).sort().join(' '));
    process.on('SIGUSR2', () => { console.log('signal'); process.exit(3); }); process.kill(process.pid, 'SIGUSR2');
    setTimeout(() => {}, 5000);
  });
}
END
timeout 230 node threads.js; echo status $?
""")

script("java", ["java", "javac"], r"""
cat > Main.java <<'END'
import java.util.*; import java.util.concurrent.*; import java.nio.file.*;
public class Main {
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(6); List<Future<Long>> all = new ArrayList<>();
    for (int n = 0; n < 24; n++) { final int k = n; all.add(pool.submit(() -> { long s = 0; for (int i = 0; i < 200000; i++) s += (i ^ k) % 7; return s; })); }
    long total = 0; for (Future<Long> f : all) total += f.get(); pool.shutdown(); System.out.println(total);
    byte[][] keep = new byte[64][]; for (int i = 0; i < 2000; i++) keep[i % 64] = new byte[100000]; System.gc(); System.out.println(keep.length);
    Process p = new ProcessBuilder("sh", "-c", "cat; exit 5").start(); p.getOutputStream().write("through a child\n".getBytes());
    p.getOutputStream().close(); System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor());
    Path f = Files.writeString(Path.of("f"), "text"); System.out.println(Files.readString(f));
    Object lock = new Object(); Thread t = new Thread(() -> { synchronized (lock) { lock.notifyAll(); } });
    synchronized (lock) { t.start(); lock.wait(200000); } t.join(); System.out.println("notified");
    try { int[] x = null; System.out.println(x[0]); } catch (NullPointerException e) { System.out.println("null pointer"); }
    try { recurse(0); } catch (StackOverflowError e) { System.out.println("stack overflow"); }
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook"))); System.exit(4);
  }
  static int recurse(int n) { return recurse(n + 1) + 1; }
}
END
javac -J-Xmx256m Main.java; echo javac $?; java -Xmx128m Main; echo status $?
""")

script("go", ["go"], r"""
export GOCACHE=$dir/cache GOPATH=$dir/path GO111MODULE=off GOFLAGS=-p=2 HOME=$dir
cat > main.go <<'END'
package main

import ("bufio"; "fmt"; "net"; "os"; "os/exec"; "os/signal"; "strings"; "sync"; "syscall"; "time")

func main() {
	var wg sync.WaitGroup; var mu sync.Mutex; total := 0; ch := make(chan int, 10)
	for i := 0; i < 200; i++ { wg.Add(1); go func(i int) { defer wg.Done(); time.Sleep(time.Millisecond); mu.Lock(); total += i; mu.Unlock(); ch <- i }(i) }
	sum := 0; for i := 0; i < 200; i++ { sum += <-ch }; wg.Wait(); fmt.Println(total, sum)
	l, err := net.Listen("tcp", "127.0.0.1:0"); if err != nil { panic(err) }
	go func() { for { c, err := l.Accept(); if err != nil { return }; go func() { s, _ := bufio.NewReader(c).ReadString('\n'); fmt.Fprint(c, strings.ToUpper(s)); c.Close() }() } }()
	for i := 0; i < 50; i++ { c, err := net.Dial("tcp", l.Addr().String()); if err != nil { panic(err) }; fmt.Fprintln(c, "hello", i); s, _ := bufio.NewReader(c).ReadString('\n'); if i == 49 { fmt.Print(s) }; c.Close() }
	out, err := exec.Command("sh", "-c", "echo from a child; exit 3").CombinedOutput(); fmt.Print(string(out), err, "\n")
	sig := make(chan os.Signal, 1); signal.Notify(sig, syscall.SIGUSR1); syscall.Kill(os.Getpid(), syscall.SIGUSR1); fmt.Println(<-sig)
	defer func() { fmt.Println("recovered:", recover()); os.Exit(7) }()
	var p *int; fmt.Println(*p)
}
END
go build -o program main.go; echo built $?; timeout 270 ./program; echo status $?
""", timeout=280)

script("tmux", ["tmux"], r"""
export TMUX_TMPDIR=$dir HOME=$dir TERM=xterm-256color LC_ALL=C.UTF-8
t() { tmux -f /dev/null "$@"; }
shows() { for i in $(seq 2000); do t capture-pane -p -t s.0 | grep -q "$1" && return 0; sleep 0.1; done; echo "never shown: $1"; t capture-pane -p -t s.0; return 1; }
runs() { wait_for eval "[ \$(t display-message -p -t s.0 '#{pane_current_command}') = $1 ]"; }
t new-session -d -s s -x 80 -y 24 'env PS1="ready> " bash --norc --noprofile -i'; echo $?
shows 'ready>'
t send-keys -t s 'echo one $((20 + 3)); tty > /dev/null && stty size' Enter; shows '^23 80\|^24 80'; t capture-pane -p -t s | grep -E '^(one|2)'
t send-keys -t s 'sleep 1000' Enter; runs sleep; t send-keys -t s C-c; t send-keys -t s 'echo interrupted $?' Enter; shows 'interrupted 130'
t send-keys -t s 'sleep 1000' Enter; runs sleep; t send-keys -t s C-z; shows Stopped; t send-keys -t s 'kill %1; wait; echo done' Enter; shows ^done
t split-window -t s 'cat'; t list-panes -t s | wc -l; t resize-window -t s -x 100 -y 30; t select-pane -t s.0
for i in $(seq 500); do t send-keys -t s.0 'stty size' Enter; sleep 0.2; t capture-pane -p -t s.0 | grep -q ' 100$' && break; done
t capture-pane -p -t s.0 | grep -E ' 100$' | head -1
t kill-session -t s; while t list-sessions > /dev/null 2>&1; do sleep 0.1; done; t list-sessions 2>&1 | sed 's/(.*//; s/ on .*//'
""")

script("dpkg", ["dpkg-deb"], r"""
mkdir -p p/DEBIAN p/usr/share/thing p/usr/bin && seq 5000 > p/usr/share/thing/data && ln -s ../share/thing/data p/usr/bin/link && printf '#!/bin/sh\necho thing\n' > p/usr/bin/thing
chmod 4755 p/usr/bin/thing; find p -exec touch -h -d @1700000000 {} +; export SOURCE_DATE_EPOCH=1700000000
printf 'Package: thing\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a thing\n' > p/DEBIAN/control; touch -d @1700000000 p/DEBIAN/control p/DEBIAN
dpkg-deb --root-owner-group -b p thing.deb; md5sum < thing.deb; dpkg-deb -I thing.deb | grep -E 'Package|Version'
dpkg -x thing.deb out && (cd out && find . -printf '%P %y %m %s %l %TY\n' | grep -v '^ *d' | sort | grep -v ' d 7'); out/usr/bin/thing; dpkg-deb -c thing.deb | awk '{print $1, $6}'
""")

# Numbers differ; what the columns are, and what they say of processes of our own, does not.
script("process-tools", ["ps", "pgrep", "pkill", "pidof", "top", "free", "uptime", "vmstat", "w"], r"""
settle() { until [ "$(ps -o comm=,stat= -p $1 | tr -s ' ')" = "sleep $2" ]; do sleep 0.05; done; }
sleep 600 & one=$!; sleep 600 & two=$!
settle $one S; settle $two S
for format in aux -ef -eLf; do ps $format | head -1 | sed 's/  */ /g'; done
ps -o comm=,args=,stat=,nlwp=,ni= -p $one,$two | sed 's/  */ /g'
ps -o ppid= -p $one | awk -v me=$$ '{ print "child:", ($1 == me) }'
ps aux | awk -v pid=$one '$2 == pid { print "aux:", NF, $8, $11, $12 }'
ps -ef | awk -v pid=$one -v me=$$ '$2 == pid { print "ef:", NF, ($3 == me), $8, $9 }'
ps -o rss=,vsz=,etimes= -p $$ | awk '{ print "sizes:", ($1 > 100), ($2 > $1), ($3 >= 0) }'
ps --ppid $$ -o comm= | sort | uniq -c | awk '$2 == "sleep"'
pgrep -P $$ -x sleep | wc -l; pgrep -P $$ -l sleep | awk '{ print $2 }'; pgrep -P $$ -a sleep | awk '{ print $2, $3 }'
pidof sleep | tr ' ' '\n' | grep -cx -e $one -e $two
top -b -n 1 -p $one | sed -n 7p | awk '{ print NF, $1, $2, $8, $12 }'
top -b -n 1 -p $one | awk -v pid=$one '$1 == pid { print "top:", NF, $8, $12 }'
top -b -n 1 -p $one | sed -n '1s/^top - .* load average: .*/top line/p; 2s/[0-9][0-9]*/N/gp' | sed 's/  */ /g'
free | awk '{ print $1, NF } NR == 2 { print ($2 >= $4), ($7 > 0) }'
uptime | grep -cE '^ [0-9:]{8} up .* load average: [0-9.]+, [0-9.]+, [0-9.]+$'
vmstat | awk 'NR == 2 { print NF, $1, $NF } NR == 3 { print NF }'
w | awk 'NR == 2 { print $1, $2 }'
kill -STOP $two; settle $two T; ps -o stat= -p $two; kill -CONT $two
pkill -P $$ -x sleep; echo pkill $?
wait $one; echo $?; wait $two; echo $?
pgrep -P $$ -x sleep; echo none $?
""")

script("lsof", ["lsof"], r"""
exec 7> written 8< /etc/passwd
lsof -w -p $$ | awk 'NR == 1 { print $1, $2, $3, $4, $5, $9 } $4 ~ /^(cwd|rtd|txt|7w|8r)$/ { print $4, $5 }'
lsof -w -p $$ -a -d 7,8 -Fn | grep '^n' | sed 's,.*/,,'
sleep 600 | cat > /dev/null & last=$!
until [ "$(ps -o comm= -p $last)" = cat ]; do sleep 0.05; done
lsof -w -p $last -a -d 0,1 -Ft | grep '^t'
lsof -w -t written > found; [ "$(head -n 1 found)" = $$ ]; echo $?
pkill -P $$; wait
""")

if __name__ == "__main__":
    sys.exit(scripted.main(SCRIPTS))
