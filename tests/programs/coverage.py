#!/usr/bin/env python3
"""How many system calls of real programs come without a trap, read from `--stats`; each program also prints what it prints natively.

    coverage.py --pal build/pal NAME

A site is new until it has trapped sixteen times in a space; then it is patched or refused. Counted is what came after that: of all calls but the
trapped ones at new sites, at least 98 % may not trap. The last case shows that the count can fail: without patching nothing is covered.
"""
import os
import re
import sys

import scripted
import support

LEAST = 0.98
PREPARE = "dir=$(mktemp -d) && cd $dir || exit 9; trap 'rm -rf $dir' EXIT\n"
WAIT_FOR = 'wait_for() { for i in $(seq 2000); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; echo "never came: $*"; return 1; }\n'
CASES = {}


def case(name, needs, text, least=LEAST, options=()):
    CASES[name] = (needs, PREPARE + WAIT_FOR + text, least, options)


BUSYBOX = """
exec %s sh -c '
i=0; while [ $i -lt 400 ]; do echo "line $i" >> lines; i=$((i + 1)); done; while read a b; do n=$((${n:-0} + b)); done < lines; echo $n
busybox dd if=/dev/zero bs=1 count=20000 2>/dev/null | busybox wc -c; busybox find /etc 2>/dev/null | busybox sort | busybox md5sum'
"""
case("busybox-static", ["busybox"], BUSYBOX % "busybox")
case("busybox-dynamic", ["busybox-dynamic"], BUSYBOX.replace("busybox", "busybox-dynamic") % "busybox-dynamic")
case("bash", ["bash"], """
exec bash -c 'for i in {1..2000}; do echo "line $i" >> lines; done; n=0; while read -r a b; do ((n += b)); done < lines; echo $n
for i in {1..40}; do (exit $((i % 3))); echo -n "$? $(echo $i) "; done; [[ -e lines ]] && cat < lines | wc -l'
""")
case("python3", ["python3"], """
exec /usr/bin/python3 -c '
import os, socket, threading
for i in range(1500):
    with open(f"f{i % 50}", "a") as f: f.write(f"{i}\\n")
print(sum(os.stat(f).st_size for f in sorted(os.listdir("."))), sum(int(x) for f in os.listdir(".") for x in open(f)))
a, b = socket.socketpair()
def echo():
    while (data := b.recv(100)): b.send(data[::-1])
t = threading.Thread(target=echo); t.start()
for i in range(1500): a.send(b"%d" % i); last = a.recv(100)
a.close(); t.join(); print(last)'
""")
case("sqlite3", ["sqlite3"], """
(echo "create table t(a integer primary key, b text);"; for i in $(seq 600); do echo "insert into t values($i, 'text $i');"; done
 echo "select count(*), sum(a), max(b) from t; pragma integrity_check;") > script
exec sqlite3 db < script
""")
case("redis", ["redis-server", "redis-cli", "redis-benchmark"], """
redis-server --port $PORT --bind 127.0.0.1 --daemonize no --save '' > log 2>&1 &
wait_for redis-cli -p $PORT ping
redis-benchmark -p $PORT -q -n 5000 -c 10 -t set,get,lpush --csv | cut -d, -f1
redis-cli -p $PORT dbsize; redis-cli -p $PORT get key:__rand_int__; redis-cli -p $PORT shutdown nosave; wait; echo stopped $?
""")
case("nginx", ["nginx", "ab", "curl"], """
echo "hello from nginx" > index.html
cat > nginx.conf <<END
worker_processes 2; daemon off; pid $dir/pid; error_log $dir/error.log; user root;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u;
  scgi_temp_path $dir/s; server { listen 127.0.0.1:$PORT; root $dir; } }
END
chmod 755 .; nginx -c $dir/nginx.conf & server=$!
wait_for curl -s http://127.0.0.1:$PORT/
ab -q -n 2000 -c 8 http://127.0.0.1:$PORT/ | grep -E 'Complete|Failed|Non-2xx'
ab -q -k -n 2000 -c 8 http://127.0.0.1:$PORT/ | grep -E 'Complete|Failed|Non-2xx'
nginx -c $dir/nginx.conf -s quit 2>/dev/null; wait $server; echo stopped $?
""")
case("go", ["gofmt"], """
for i in $(seq 300); do printf 'package p\\nfunc f%d( )  int{return %d}\\n' $i $i > f$i.go; done
gofmt -l . | sort | md5sum; exec gofmt -w .
""")
case("node", ["node"], """
exec node -e '
const fs = require("fs"), net = require("net");
for (let i = 0; i < 1000; i++) fs.appendFileSync("f" + i % 20, i + "\\n");
console.log(fs.readdirSync(".").map(f => fs.statSync(f).size).reduce((a, b) => a + b));
const server = net.createServer(c => c.pipe(c)).listen(0, "127.0.0.1", () => {
  const c = net.connect(server.address().port, "127.0.0.1", () => c.write("0"));
  c.on("data", d => { const n = Number(d) + 1; if (n < 400) c.write(String(n)); else { console.log(n); c.end(); server.close(); } });
});'
""")
case("java", ["java", "javac"], """
cat > Main.java <<'END'
import java.io.*; import java.nio.file.*; import java.util.concurrent.*;
public class Main {
    public static void main(String[] a) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(3);
        Future<?>[] all = new Future<?>[30];
        for (int i = 0; i < all.length; i++) {
            int n = i;
            all[i] = pool.submit(() -> {
                for (int j = 0; j < 60; j++) Files.writeString(Path.of("f" + n), j + "\\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                return null;
            });
        }
        for (Future<?> f : all) f.get();
        pool.shutdown();
        long sum = 0;
        for (int i = 0; i < all.length; i++) for (String s : Files.readAllLines(Path.of("f" + i))) sum += Long.parseLong(s);
        System.out.println(sum);
    }
}
END
exec java -Xshare:auto Main.java
""")
# Hot loops of LuaJIT's own code around calls through its foreign-function interface; and a `syscall` in memory that the program wrote.
case("luajit", ["luajit"], r"""
cat > calls.lua <<'END'
local ffi, bit = require("ffi"), require("bit")
ffi.cdef[[ int getppid(void); void *mmap(void *, size_t, int, int, int, long); int mprotect(void *, size_t, int); ]]
local sum, parents = 0, 0
for i = 1, 20000 do
    sum = bit.bxor(sum * 31 + i, bit.rshift(sum, 7))
    if ffi.C.getppid() == tonumber(arg[1]) then parents = parents + 1 end
end
print(sum, parents)
for i = 1, 1500 do local f = assert(io.open("f" .. i % 20, "a")); f:write(i, "\n"); f:close() end
local lines = 0
for i = 0, 19 do for line in io.lines("f" .. i) do lines = lines + tonumber(line) end end
print(lines)
local code, right = "\184\110\0\0\0\15\5\195", 0
local page = ffi.cast("uint8_t *", ffi.C.mmap(nil, 4096, 3, 0x22, -1, 0))
ffi.copy(page, code)
assert(ffi.C.mprotect(page, 4096, 5) == 0)
local call = ffi.cast("int (*)(void)", page)
for i = 1, 100 do if call() == tonumber(arg[1]) then right = right + 1 end end
print(right, ffi.string(page, 8) == code, jit.status())
END
luajit calls.lua $$
""")
for variant in ("glibc", "glibc-static", "musl", "musl-static"):
    for call in ("null", "getppid"):
        case(f"{call}-{variant}", [], f"$BUILD/bench/guest_calls.{variant} {call} 2 > time; test -s time")
case("without-patching", ["busybox"], BUSYBOX % "busybox", least=None, options=("--intercept=trap",))
# Programs that generate code, and at least how many sites of it make calls.
GENERATES = {"luajit": 1, "node": 0, "java": 0}


def count(stats, pattern):
    found = re.search(pattern.encode(), stats)
    if not found:
        sys.exit(f"--stats does not say {pattern!r}:\n{stats.decode(errors='replace')}")
    return [int(group) for group in found.groups()]


def main():
    args, env = scripted.begin(CASES)
    _, text, least, options = CASES[args.name]
    env["BUILD"] = os.path.dirname(os.path.abspath(args.pal))
    argv = ["/bin/bash", "-c", text]
    support.adopt_orphans()
    native = support.run(argv, b"", 280, env, "/")
    support.leftovers(5)
    guest = support.run(support.pal_run(args.pal, ["--stats", *options]) + argv, b"", 280, env, "/")
    if native.status != 0 or (guest.status, guest.out) != (0, native.out):
        print(f"natively {native.status}: {native.out!r}\n{native.err!r}\nunder pal {guest.status}: {guest.out!r}\n{guest.err!r}")
        return 1
    total, prompt = count(guest.err, r"system calls: (\d+), (\d+) of them run inside guest_run")
    trapped, fresh, settled = count(guest.err, r"(\d+) trapped: (\d+) at sites still new, (\d+) at others")
    covered = 1 - settled / (total - fresh)
    print(f"{args.name}: {total} calls, {prompt} run inside guest_run, {trapped} trapped, {fresh} of them at sites still new; "
          f"without a trap {100 * (1 - trapped / total):.2f} %, after warm-up {100 * covered:.2f} %")
    if args.verbose:
        print(guest.err.decode(errors="replace"))
    if args.name in GENERATES:
        generated, patched = count(guest.err, r"sites in generated code and other memory: (\d+) trapped, (\d+) patched")
        print(f"sites in generated code: {generated}, {patched} of them patched")
        if generated < GENERATES[args.name] or patched:
            return 1
    if least is None:
        return 0 if prompt == 0 and covered < 0.02 else 1
    return 0 if covered >= least and total - fresh >= 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
