"""Whole programs that bench/run measures: the same script natively and under pal.

A script works in a directory of its own in memory. $N is how much of the work to do in percent, 100 but with --quick; times() is for counts. One
that calls `start` and `stop` is measured between the two (the rest is preparation), the others from pal's start to its end. Requests a
second are turned into microseconds a request, so that every ratio means time.
"""
import collections

Program = collections.namedtuple("Program", "name what needs script target")

PREPARE = """
set -u
dir=$(mktemp -d -p /dev/shm) && cd "$dir" || exit 9
trap 'rm -rf "$dir"' EXIT
times() { local n=$(($1 * N / 100)); echo $((n < 1 ? 1 : n)); }
start() { begun=$EPOCHREALTIME; }
stop() { local now=$EPOCHREALTIME; echo "microseconds $(( (${now/./} - ${begun/./}) / ${1:-1} ))"; }
per_request() { awk -v rps="$1" 'BEGIN { printf "microseconds %.3f\\n", 1e6 / rps }'; }
wait_for() { local i; for i in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; echo "never came: $*" >&2; exit 8; }
"""

REDIS = """
redis-server --port $PORT --bind 127.0.0.1 --daemonize no --save '' > log 2>&1 &
wait_for redis-cli -p $PORT ping
per_request $(redis-benchmark -p $PORT -n $(times 60000) -c 20 %s --csv | tail -n 1 | cut -d, -f2 | tr -d '"')
redis-cli -p $PORT shutdown nosave; wait
"""

NGINX = """
echo "hello from nginx" > index.html; chmod 755 .
cat > nginx.conf <<END
worker_processes 2; daemon off; pid $dir/pid; error_log $dir/error.log; user root;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u;
  scgi_temp_path $dir/s; keepalive_requests 1000000; server { listen 127.0.0.1:$PORT; root $dir; } }
END
nginx -c $dir/nginx.conf & server=$!
wait_for curl -s http://127.0.0.1:$PORT/
per_request $(ab -q %s -c 16 http://127.0.0.1:$PORT/ | awk '/Requests per second/ { print $4 }')
nginx -c $dir/nginx.conf -s quit 2>/dev/null; wait $server
"""

C_FILE = """
make_c() { awk -v n=$1 -v from=$2 'BEGIN {
  print "#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\n#include <math.h>\\n#include <sys/socket.h>";
  for (i = 0; i < n; i++) printf "int f%d_%d(const char *s, int n)\\n{\\n    char text[64];\\n    int sum = 0;\\n    for (int i = 0; i < n; i++) {\\n\\
        snprintf(text, sizeof(text), \\"%%s %%d\\", s, i * %d);\\n        sum += (int)strlen(text) ^ (sum << 3);\\n        if (sum > 1000)\\n\\
            sum %%= %d;\\n    }\\n    return sum;\\n}\\n", from, i, i + 3, i + 7; }'; }
"""

PROGRAMS = [
    Program("start", "pal run true", [], "exec /bin/true", None),
    Program("dd", "dd bs=1 of a million bytes", ["dd"],
            "exec dd if=/dev/zero of=/dev/null bs=1 count=$(times 1000000) status=none", 1.2),
    Program("shell-forks", "200-fork shell loop", [], "for ((i = $(times 200); i; i--)); do (exit 0); done", None),
    Program("shell-execs", "200 times /bin/true from a shell", [], "for ((i = $(times 200); i; i--)); do /bin/true; done", None),
    Program("python", "python3 start-up", ["python3"], "exec python3 -c 'import json, re, os'", None),
    Program("configure", "configure-like script", ["sed", "grep", "gcc"], """
for ((i = $(times 60); i; i--)); do
  echo "checking for feature $i" >> config.log
  name=$(echo "have_feature_$i" | tr a-z A-Z); value=$(expr $i % 7)
  printf '#define %s %s\\n' $name $value | sed 's/0$/1/' >> config.h
  if grep -q "$name 3" config.h; then mkdir -p dir$i; test -d dir$i && rm -r dir$i; fi
  if [ $((i % 6)) = 0 ]; then echo "int main(void) { return $value; }" > test.c; gcc -c test.c -o test.o 2>> config.log || echo no; fi
done; cat config.h | sort | uniq -c | wc -l""", None),
    Program("sqlite", "sqlite3: 10,000 inserts", ["sqlite3"], """
for ((i = $(times 10000); i; i--)); do echo "insert into t(b) values('text number $i');"; done > inserts
start; (echo 'create table t(a integer primary key, b text);'; cat inserts; echo 'select count(*) from t;') | sqlite3 db; stop""", None),
    Program("redis-get", "redis: GET, per request", ["redis-server", "redis-benchmark"], REDIS % "-t get", 1.25),
    Program("redis-lpush", "redis: LPUSH, per request", ["redis-server", "redis-benchmark"], REDIS % "-t lpush", 1.25),
    Program("nginx-keep", "nginx, kept connections, per request", ["nginx", "ab", "curl"], NGINX % "-k -n $(times 40000)", 1.25),
    Program("nginx-new", "nginx, a connection each, per request", ["nginx", "ab", "curl"], NGINX % "-n $(times 10000)", 1.25),
    Program("gcc-file", "gcc -O2 of one file", ["gcc"], C_FILE + "make_c $(times 200) 0 > file.c; start; gcc -O2 -c file.c; stop", 1.15),
    Program("gcc-build", "make -j2 of 16 files", ["gcc", "make"], C_FILE + """
objects=
for ((i = $(times 16); i; i--)); do make_c $(times 60) $i > file$i.c; objects="$objects file$i.o"; done
echo 'int main(void) { return 0; }' > main.c; printf 'program: main.o %s\\n\\tgcc -o $@ $^\\n' "$objects" > Makefile
start; make -s -j2; stop""", 1.15),
    Program("git-status", "git status of 1,000 files", ["git"], """
export HOME=$dir GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
mkdir tree && cd tree && for ((i = $(times 1000); i; i--)); do mkdir -p d$((i % 50)); echo $i > d$((i % 50))/f$i; done
git init -q . 2>/dev/null; git add . ; git commit -qm one; git status > /dev/null
start; for i in 1 2 3 4 5 6 7 8 9 10; do git status > /dev/null; done; stop 10""", None),
]
