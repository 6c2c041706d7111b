#!/usr/bin/env python3
"""Servers with their own clients, each natively and under `pal run`: same output, same status (scripted.py).

    servers.py --pal build/pal NAME
"""
import sys

import scripted

SCRIPTS = {}


def script(*args, **kwargs):
    scripted.add(SCRIPTS, *args, **kwargs)


script("redis", ["redis-server", "redis-cli", "redis-benchmark"], r"""
start() { redis-server --port $PORT --bind 127.0.0.1 --daemonize no "$@" > log 2>&1 & wait_for redis-cli -p $PORT ping; }
cli() { redis-cli -p $PORT "$@"; }
start --save "" --appendonly no
cli set greeting hello; cli get greeting; cli incr n; cli rpush list a b c; cli lrange list 0 -1
redis-benchmark -p $PORT -q -n 20000 -c 20 -t set,get,lpush,incr --csv | cut -d, -f1
redis-benchmark -p $PORT -q -n 20000 -P 16 -t set,get --csv | cut -d, -f1
cli dbsize; cli get greeting
cli shutdown nosave; wait; echo stopped $?
""")

script("redis-restart", ["redis-server", "redis-cli"], r"""
start() { redis-server --port $PORT --bind 127.0.0.1 --daemonize no "$@" > log 2>&1 & server=$!; wait_for redis-cli -p $PORT ping; }
cli() { redis-cli -p $PORT "$@"; }
echo append-only file
start --save "" --appendonly yes --appendfsync always
for i in $(seq 50); do echo "set key$i value$i"; done | cli | sort | uniq -c
kill -KILL $server; wait $server 2>/dev/null; echo killed $?
start --save "" --appendonly yes
cli dbsize; cli get key33; cli bgrewriteaof
wait_for sh -c "test -n \"\$(redis-cli -p $PORT info persistence | grep aof_rewrite_in_progress:0)\""
cli set after rewrite; cli shutdown; wait; echo stopped $?
start --save "" --appendonly yes
cli dbsize; cli get after; cli shutdown; wait
rm -rf appendonly*
echo snapshot
start --save "" --appendonly no
for i in $(seq 2000); do echo "set s$i $i"; done | cli | sort | uniq -c
cli bgsave; wait_for sh -c "test -n \"\$(redis-cli -p $PORT info persistence | grep rdb_bgsave_in_progress:0)\""
kill -KILL $server; wait $server 2>/dev/null; echo killed $?
start --save "" --appendonly no
cli dbsize; cli get s1234; cli shutdown nosave; wait; echo stopped $?
""")

NGINX = r"""
mkdir html && echo "hello from nginx" > html/index.html && head -c 300000 /dev/zero | tr '\0' x > html/big
cat > nginx.conf <<END
worker_processes 4; daemon off; pid $dir/pid; error_log $dir/error.log; user root;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u;
  scgi_temp_path $dir/s; server { listen 127.0.0.1:$PORT; listen [::1]:$PORT; root $dir/html; } }
END
nginx -c $dir/nginx.conf & server=$!
wait_for curl -s http://127.0.0.1:$PORT/
"""
script("nginx", ["nginx", "ab", "curl"], NGINX + r"""
curl -s http://127.0.0.1:$PORT/; curl -sg "http://[::1]:$PORT/"; curl -s http://localhost:$PORT/big | md5sum
curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$PORT/missing
ab -q -n 10000 -c 16 http://127.0.0.1:$PORT/ | grep -E 'Complete|Failed|Non-2xx|Document Length'
ab -q -k -n 10000 -c 16 http://127.0.0.1:$PORT/ | grep -E 'Complete|Failed|Non-2xx'
ab -q -k -n 500 -c 8 http://127.0.0.1:$PORT/big | grep -E 'Complete|Failed|HTML'
nginx -c $dir/nginx.conf -s reload 2>/dev/null; sleep 0.5; curl -s http://127.0.0.1:$PORT/
nginx -c $dir/nginx.conf -s quit 2>/dev/null; wait $server; echo stopped $?
grep -cE 'emerg|alert|crit|error' error.log
""")

script("python-http", ["python3", "curl"], r"""
mkdir www && cd www && seq 1 50000 > numbers && echo index > index.html && mkdir sub && touch sub/file
/usr/bin/python3 -m http.server --bind 127.0.0.1 $PORT > ../log 2>&1 & server=$!
wait_for curl -s http://127.0.0.1:$PORT/
curl -s http://127.0.0.1:$PORT/; curl -s http://127.0.0.1:$PORT/numbers | md5sum; curl -s http://127.0.0.1:$PORT/sub/ | grep -c file
curl -s -o /dev/null -o /dev/null -w '%{http_code} %{size_download}\n' http://127.0.0.1:$PORT/missing http://127.0.0.1:$PORT/numbers
seq 40 | xargs -P 8 -I{} curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:$PORT/numbers | sort | uniq -c
kill $server; wait $server 2>/dev/null; echo stopped $?
""")

script("openssl", ["openssl"], r"""
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost 2>/dev/null
openssl s_server -quiet -accept 127.0.0.1:$PORT -key key -cert cert -rev > server.log 2>&1 & server=$!
wait_for sh -c "echo Q | openssl s_client -connect 127.0.0.1:$PORT"
for tls in -tls1_2 -tls1_3; do
  : > reversed
  (echo "drawkcab si siht"; wait_for grep -q 'this is' reversed) | timeout 100 openssl s_client $tls -connect 127.0.0.1:$PORT -CAfile cert -verify_return_error -quiet -no_ign_eof > reversed 2>/dev/null
  echo status $?; cat reversed
done
kill $server; wait $server 2>/dev/null
openssl s_server -accept 127.0.0.1:$PORT2 -key key -cert cert -WWW > server.log 2>&1 & server=$!
seq 1 100000 > numbers
wait_for sh -c "echo Q | openssl s_client -connect 127.0.0.1:$PORT2"
printf 'GET /numbers HTTP/1.0\r\n\r\n' | timeout 100 openssl s_client -quiet -connect 127.0.0.1:$PORT2 2>/dev/null | md5sum
kill $server; wait $server 2>/dev/null; echo stopped
""")

script("node-http", ["node"], r"""
cat > server.js <<'END'
const http = require('http'), net = require('net');
const server = http.createServer((req, res) => {
  let size = 0;
  req.on('data', d => size += d.length).on('end', () => res.end(`${req.method} ${req.url} ${size}\n`));
});
server.listen(0, '127.0.0.1', async () => {
  const port = server.address().port;
  const ask = (path, body) => new Promise((done, failed) => {
    const r = http.request({port, host: '127.0.0.1', path, method: body ? 'POST' : 'GET'}, res => {
      let text = ''; res.on('data', d => text += d).on('end', () => done(text));
    });
    r.on('error', failed); r.end(body);
  });
  process.stdout.write(await ask('/one'));
  process.stdout.write(await ask('/two', 'x'.repeat(3000000)));
  const all = await Promise.all([...Array(50).keys()].map(i => ask('/' + i)));
  console.log(all.join('').length, all[49].trim());
  server.close();
  const echo = net.createServer(c => c.pipe(c)).listen(0, '::1', () => {
    const c = net.connect(echo.address().port, '::1', () => c.end('through ::1\n'));
    c.on('data', d => process.stdout.write(d)).on('close', () => echo.close(() => {
      net.connect(1, '127.0.0.1').on('error', e => console.log(e.code));
    }));
  });
});
END
timeout 250 node server.js; echo status $?
""")

script("python-asyncio", ["python3"], r"""
cat > talk.py <<'END'
import asyncio, socket, socketserver, threading
async def handle(reader, writer):
    data = await reader.read(-1)
    writer.write(b"%d bytes" % len(data)); await writer.drain(); writer.close()
async def ask(port, size):
    reader, writer = await asyncio.open_connection('localhost', port)
    writer.write(b'x' * size); await writer.drain(); writer.write_eof()
    text = (await reader.read()).decode(); writer.close()
    return text
async def main():
    server = await asyncio.start_server(handle, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    print(await asyncio.gather(*(ask(port, 100000 * i) for i in range(8))))
    loop = asyncio.get_running_loop()
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, t): self.t = t
        def datagram_received(self, data, addr): self.t.sendto(data[::-1], addr)
    class Ask(asyncio.DatagramProtocol):
        def __init__(self): self.answer = loop.create_future()
        def connection_made(self, t): t.sendto(b'udp')
        def datagram_received(self, data, addr): self.answer.set_result(data)
        def error_received(self, e): self.answer.set_result(repr(e))
    t, _ = await loop.create_datagram_endpoint(Echo, local_addr=('127.0.0.1', 0))
    u, p = await loop.create_datagram_endpoint(Ask, remote_addr=t.get_extra_info('sockname'))
    print(await p.answer)
    t.close(); await asyncio.sleep(0.05)
    v, p = await loop.create_datagram_endpoint(Ask, remote_addr=t.get_extra_info('sockname') or ('127.0.0.1', 1))
    print(await asyncio.wait_for(p.answer, 200))
asyncio.run(main())
a, b = socket.socketpair(socket.AF_UNIX); a.send(b'pair'); print(b.recv(9))
print(socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True).getsockname()[0])
print(sorted({i[4][0] for i in socket.getaddrinfo('localhost', 80)}))
class H(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(self.rfile.readline().upper())
with socketserver.ThreadingTCPServer(('127.0.0.1', 0), H) as s:
    threading.Thread(target=s.serve_forever, daemon=True).start()
    for i in range(30):
        with socket.create_connection(s.server_address) as c:
            c.sendall(b'line\n'); last = c.makefile().read()
    print(last); s.shutdown()
END
timeout 250 /usr/bin/python3 talk.py; echo status $?
""")


if __name__ == "__main__":
    sys.exit(scripted.main(SCRIPTS))
