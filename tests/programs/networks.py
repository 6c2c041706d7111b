#!/usr/bin/env python3
"""What --net and --publish give a guest, and what they keep from it.

    networks.py --pal build/pal NAME

The first kind compares with the same script natively in a network namespace of its own, with its loopback up or down. The second
talks from the host to servers inside by their published ports, or from inside to the host.
"""
import argparse
import concurrent.futures
import difflib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import support

PAL = ""
PYTHON = "/usr/bin/python3"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
ENV = dict(os.environ, LC_ALL="C", HOME="/root", PATH=PATH)
PATIENCE = 200  # seconds, for a machine that does much else


class Skip(Exception):
    pass


# ---- the same in a namespace ------------------------------------------------------------------------------------------

SCRIPTS = {}


def script(name, net, needs, text):
    SCRIPTS[name] = (net, needs, text)


CALLS = r"""
import socket as S, errno
def told(name, f):
    try: print(name, f() or 'done')
    except OSError as e: print(name, errno.errorcode.get(e.errno, e.errno))
def listen_and_connect(family, kind, address):
    s = S.socket(family, kind); s.bind((address, 0)); s.listen()
    c = S.socket(family, kind); c.connect((address, s.getsockname()[1]))
for family, loopback, wildcard, far in ((S.AF_INET, '127.0.0.1', '0.0.0.0', '10.1.2.3'), (S.AF_INET6, '::1', '::', '2001:db8::1')):
    for kind in (S.SOCK_STREAM, S.SOCK_DGRAM):
        n = f'{family.name} {kind.name} '
        for to in (loopback, wildcard, far):
            told(n + 'connect ' + to, lambda: S.socket(family, kind).connect((to, 9)))
            told(n + 'bind ' + to, lambda: S.socket(family, kind).bind((to, 0)))
            if kind == S.SOCK_DGRAM:
                told(n + 'sendto ' + to, lambda: S.socket(family, kind).sendto(b'x', (to, 9)))
        if kind == S.SOCK_STREAM:
            told(n + 'listen, connect', lambda: listen_and_connect(family, kind, wildcard))
for kind in (S.SOCK_STREAM, S.SOCK_DGRAM):
    told(f'mapped {kind.name}', lambda: S.socket(S.AF_INET6, kind).connect(('::ffff:127.0.0.1', 9)))
a, b = S.socketpair(); a.send(b'pair'); print(b.recv(9))
"""
script("none-reaches-nothing", "none", [PYTHON], f"{PYTHON} - <<'END'\n{CALLS}\nEND\n")
script("loopback-reaches-itself", "loopback", [PYTHON], f"{PYTHON} - <<'END'\n{CALLS}\nEND\n")

DEVICES = r"""
import ctypes, errno, fcntl, socket as S, struct
def told(name, f):
    try: print(name, f())
    except OSError as e: print(name, errno.errorcode.get(e.errno, e.errno))
told('if_nameindex', S.if_nameindex)
told('if_nametoindex', lambda: S.if_nametoindex('lo'))
told('if_nametoindex', lambda: S.if_nametoindex('eth0'))
told('if_indextoname', lambda: S.if_indextoname(1))
told('if_indextoname', lambda: S.if_indextoname(7))
class sockaddr(ctypes.Structure): _fields_ = [('family', ctypes.c_ushort), ('data', ctypes.c_ubyte * 26)]
class ifaddrs(ctypes.Structure): pass
ifaddrs._fields_ = [('next', ctypes.POINTER(ifaddrs)), ('name', ctypes.c_char_p), ('flags', ctypes.c_uint)] + [
    (n, ctypes.POINTER(sockaddr)) for n in ('addr', 'mask', 'other')] + [('data', ctypes.c_void_p)]
p = ctypes.POINTER(ifaddrs)(); print('getifaddrs', ctypes.CDLL(None).getifaddrs(ctypes.byref(p)))
text = lambda a: (a[0].family, bytes(a[0].data[:22]).hex()) if a else None
while p:
    i = p[0]; print(i.name, hex(i.flags), text(i.addr), text(i.mask), text(i.other)); p = i.next
for family in (S.AF_INET, S.AF_INET6, S.AF_UNIX):
    s = S.socket(family, S.SOCK_DGRAM)
    def ask(request, name=b'lo', rest=b''):
        return fcntl.ioctl(s, request, struct.pack('16s24s', name, rest)).hex()
    for request in (0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942):
        told(f'{family.name} {request:x}', lambda: ask(request, rest=struct.pack('i', 1)))
        told(f'{family.name} {request:x} eth7', lambda: ask(request, b'eth7'))
    buffer = ctypes.create_string_buffer(400)
    def conf(size, at):
        n, = struct.unpack('i12x', fcntl.ioctl(s, 0x8912, struct.pack('iiQ', size, 0, at))); return n, bytes(buffer[:n]).hex()
    told(f'{family.name} conf', lambda: conf(400, ctypes.addressof(buffer)))
    told(f'{family.name} conf', lambda: conf(10, ctypes.addressof(buffer)))
    told(f'{family.name} conf', lambda: conf(0, 0)[0])
n = S.socket(S.AF_NETLINK, S.SOCK_RAW, S.NETLINK_ROUTE); n.bind((0, 0)); print(n.getsockname()[1:], n.getsockname()[0] > 0)
m = S.socket(S.AF_NETLINK, S.SOCK_RAW, S.NETLINK_ROUTE); told('same port', lambda: m.bind((n.getsockname()[0], 0)))
n.settimeout(60)
def request(kind, flags, body):
    told(f'send {kind} {flags}', lambda: n.send(struct.pack('IHHII', 16 + len(body), kind, flags, 77, 0) + body))
    n.setblocking(False)
    while True:
        try: d = n.recv(1 << 16)
        except BlockingIOError: break
        while d:
            size, kind, flags, sequence, port = struct.unpack('IHHII', d[:16])
            print('  ', kind, hex(flags), sequence, port == n.getsockname()[0], struct.unpack('i', d[16:20]) if kind in (2, 3) else '')
            d = d[(size + 3) & ~3:]
request(18, 0x301, bytes(16)); request(18, 1, struct.pack('BxHiII', 0, 0, 1, 0, 0)); request(18, 1, struct.pack('BxHiII', 0, 0, 9, 0, 0))
request(18, 5, struct.pack('BxHiII', 0, 0, 1, 0, 0)); request(22, 0x301, struct.pack('B7x', 2)); request(22, 0x301, struct.pack('B7x', 10))
request(26, 0x301, struct.pack('B11x', 2)); request(26, 1, struct.pack('B11xHH4B', 2, 8, 1, 127, 0, 0, 9))
request(26, 1, struct.pack('B11xHH4B', 2, 8, 1, 10, 0, 0, 9)); request(2, 5, b'')
print(sorted({i[4][0] for i in S.getaddrinfo('localhost', 80, flags=S.AI_ADDRCONFIG)}))
"""
# iproute2 of its own accord puts numbers of the kernel's version into some lines: those are left out.
ROUTES = r"""
ip route; ip route show table local; ip route show table all | grep -v inet6; ip -6 route show table local; ip route get 127.0.0.9
"""
TOOLS = r"""
ip addr; ip link; ip -s link show lo; ip -4 addr show scope host; ip link show eth9; echo $?
ip route get 10.0.0.1; echo $?
cat /proc/net/dev /proc/net/route /proc/net/if_inet6; hostname -I
ip rule; ip -6 rule; ip neigh; ip -6 neigh
"""
# ss asks by sock_diag; without it, it would read /proc/net and show neither queue lengths nor the ends of local sockets.
SETTLED = r"""
import fcntl, os, re, select, socket as S, struct, subprocess, time
kept = []
def keep(s): kept.append(s); return s
def arrived(*sockets):
    for s in sockets: select.select([s], [], [])
def answered(s):
    while struct.unpack('i', fcntl.ioctl(s, 0x5411, bytes(4)))[0]: time.sleep(0.01)
"""
SOCKETS = SETTLED + r"""
for family, address in ((S.AF_INET, '127.0.0.1'), (S.AF_INET6, '::1')):
    l = keep(S.socket(family, S.SOCK_STREAM)); l.bind((address, 0)); l.listen(3)
    c = keep(S.create_connection(l.getsockname()[:2])); k = keep(S.create_connection(l.getsockname()[:2]))
    a = keep(l.accept()[0]); c.send(b'12345')
    u = keep(S.socket(family, S.SOCK_DGRAM)); u.bind((address, 0))
    v = keep(S.socket(family, S.SOCK_DGRAM)); v.connect(u.getsockname()[:2]); v.send(b'datagram')
    arrived(l, a, u); answered(c)
x = keep(S.socket(S.AF_UNIX, S.SOCK_STREAM)); x.bind('\0of-this-test'); x.listen(7)
y = keep(S.socket(S.AF_UNIX, S.SOCK_STREAM)); y.connect('\0of-this-test')
for s in S.socketpair(S.AF_UNIX, S.SOCK_SEQPACKET): keep(s)
inodes = {str(os.fstat(s.fileno()).st_ino): f'inode{i}' for i, s in enumerate(kept)}
ports = {}
for i, s in enumerate(kept):
    if s.family != S.AF_UNIX: ports.setdefault(str(s.getsockname()[1]), f'port{i}')
def named(words, options):
    if 'x' in options[0]: return words[:5] + [inodes.get(w, 'other') if w.isdigit() else w for w in words[5:]]
    return [re.sub(r':(\d+)$', lambda m: ':' + ports.get(m[1], m[1]), w) for w in words]
def show(*options):
    text = subprocess.run(['ss', *options], capture_output=True, text=True, env={'COLUMNS': '400', 'PATH': os.environ['PATH']}).stdout
    print(*options); lines = []
    for line in text.splitlines():
        # How much memory a waiting datagram takes is the kernel's own affair.
        line = ' '.join(named(re.sub(r'UNCONN +\d+', 'UNCONN', re.sub(r'pid=\d+,fd=\d+', 'pid,fd', line)).split(), options))
        if 'inode' in line or 'port' in line: lines.append(line)
    print('\n'.join(sorted(lines)))
show('-Hltnup'); show('-Htan'); show('-Huan'); show('-H', '-tan', 'state', 'established'); show('-Htn', 'state', 'listening'); show('-Htan6'); show('-Hxa'); show('-Hxlp')
n = S.socket(S.AF_NETLINK, S.SOCK_RAW, 4)
def ask(kind, flags, body):
    n.send(struct.pack('IHHII', 16 + len(body), kind, flags, 5, 0) + body)
    d = n.recv(1 << 16); kind = struct.unpack('H', d[4:6])[0]
    print(kind, struct.unpack('i', d[16:20])[0] if kind == 2 else '')
port = kept[0].getsockname()[1]
who = struct.pack('>HH', port, 0) + bytes([127, 0, 0, 1]) + bytes(12) + bytes(16) + struct.pack('III', 0, 0xffffffff, 0xffffffff)
ask(20, 1, struct.pack('BBBBI', 2, 6, 0, 0, 0xfff) + who); ask(20, 1, struct.pack('BBBBI', 2, 6, 0, 0, 0xfff) + who[:2] + b'xx' + who[4:])
ask(20, 1, b'\1'); ask(20, 0x301, struct.pack('BBBBI', 2, 77, 0, 0, 0xfff) + bytes(48)); ask(20, 1, struct.pack('BBHIIIII', 1, 0, 0, 0, 0x7fffffff, 0, 0, 0))
g = S.socket(S.AF_NETLINK, S.SOCK_RAW, 0); g.bind((0, 5)); g.setsockopt(270, 1, 2); g.setsockopt(270, 2, 1); print(g.getsockname()[1])
e = S.socket(S.AF_NETLINK, S.SOCK_DGRAM, 15); e.bind((0, 1)); print(e.getsockname()[1])
"""
script("sock-diag", "loopback", [PYTHON, "ss"], f"{PYTHON} - <<'END'\n{SOCKETS}\nEND\n")
PROC = SETTLED + r"""
def mine():
    inodes = {os.fstat(s.fileno()).st_ino: i for i, s in enumerate(kept)}
    for name, at in (('tcp', 9), ('tcp6', 9), ('udp', 9), ('udp6', 9), ('unix', 6)):
        with open('/proc/net/' + name) as f: lines = f.read().splitlines()
        print(name, repr(lines[0]))
        for who, words in sorted((inodes[int(l.split()[at])], l.split()) for l in lines[1:] if int(l.split()[at]) in inodes):
            port = {kept[who].getsockname()[1] if name != 'unix' else 0: 'port'}
            if name == 'unix': print('  ', who, words[3:6], words[7:])
            else: print('  ', who, [w.rpartition(':')[0] + (':' + port.get(int(w[-4:], 16), 'other')) for w in words[1:3]], words[3], words[4], words[7])
for family, address in ((S.AF_INET, '127.0.0.1'), (S.AF_INET6, '::1')):
    l = keep(S.socket(family, S.SOCK_STREAM)); l.bind((address, 0)); l.listen(3)
    c = keep(S.create_connection(l.getsockname()[:2])); k = S.create_connection(l.getsockname()[:2])
    a = keep(l.accept()[0]); c.send(b'12345'); k.close()
    u = keep(S.socket(family, S.SOCK_DGRAM)); u.bind((address, 0))
    v = keep(S.socket(family, S.SOCK_DGRAM)); v.connect(u.getsockname()[:2])
    arrived(l, a); answered(c)
x = keep(S.socket(S.AF_UNIX, S.SOCK_STREAM)); x.bind('\0of-this-test'); x.listen()
y = keep(S.socket(S.AF_UNIX, S.SOCK_STREAM)); y.connect('\0of-this-test')
for s in S.socketpair(): keep(s)
keep(S.socket(S.AF_UNIX, S.SOCK_DGRAM))
mine()
"""
script("proc-net", "loopback", [PYTHON], f"{PYTHON} - <<'END'\n{PROC}\nEND\n")

for state in ("none", "loopback"):
    SCRIPTS["devices-" + state] = (state, [PYTHON], f"{PYTHON} - <<'END'\n{DEVICES}\nEND\n")
    SCRIPTS["iproute2-" + state] = (state, [], TOOLS + (ROUTES if state == "loopback" else ""))


def compare(net, needs, text):
    missing = [n for n in needs + ["unshare", "ip"] if not shutil.which(n, path=PATH)]
    if missing:
        raise Skip("not installed: " + " ".join(missing))
    up = "ip link set lo up || exit 1; " if net == "loopback" else ""
    inside = ["unshare", "-rn", "/bin/sh", "-c", up + 'exec /bin/bash -c "$0"']
    if support.run([*inside, "true"], env=ENV, cwd="/").status != 0:
        raise Skip("this host lets nobody make a network namespace")
    native = support.run([*inside, text], timeout=PATIENCE, env=ENV, cwd="/")
    guest = support.run(support.pal_run(PAL, ["--net", net]) + ["/bin/bash", "-c", text], timeout=PATIENCE, env=ENV, cwd="/")
    equal = True
    for title, a, b in (("output", native.out, guest.out), ("error", native.err, guest.err)):
        lines = difflib.unified_diff(a.decode(errors="replace").splitlines(), b.decode(errors="replace").splitlines(),
                                     lineterm="", n=1)
        for line in lines:
            print(title, line)
            equal = False
    assert equal and native.status == guest.status, f"natively {native.status}, under pal {guest.status}"
    assert native.status == 0 and native.out, f"the native run proves nothing: {native.status}"


# ---- from the host ----------------------------------------------------------------------------------------------------


class Guest:
    """A guest that runs until the end of a with block; ports[i] is where the host finds the i-th published one."""

    def __init__(self, argv, ports=(), options=()):
        words = [w for p in ports for w in ("--publish", f"0:{p}")]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(support.pal_run(PAL, [*words, *options]) + argv, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, env=ENV, cwd="/", start_new_session=True)
        self.ports = []
        end = time.monotonic() + PATIENCE
        while len(self.ports) < len(ports):
            assert time.monotonic() < end and self.process.poll() is None, self.errors()
            self.ports = [int(p) for p in re.findall(r"published as 127\.0\.0\.1:(\d+)\n", self.errors())]
            time.sleep(0.01)

    def errors(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def end(self, sig=signal.SIGTERM):
        """Result: what it wrote, and its status."""
        self.process.send_signal(sig)
        out, _ = self.process.communicate(timeout=PATIENCE)
        return out, self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print("the guest:", self.process.poll(), self.errors())
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.log.close()


def until(guest, done):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return done()
        except (OSError, AssertionError):
            if time.monotonic() > end or guest.process.poll() is not None:
                raise
            time.sleep(0.05)


def answer(port, request, shut=True):
    """What a server says until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as s:
        s.sendall(request)
        if shut:
            s.shutdown(socket.SHUT_WR)
        parts = []
        while part := s.recv(65536):
            parts.append(part)
        return b"".join(parts)


def echo_server(family, address, port):
    return [PYTHON, "-c", f"""
import socket, threading
def serve(c):
    while d := c.recv(65536): c.sendall(d)
    c.close()
s = socket.create_server(({address!r}, {port}), family=socket.{family}, backlog=512)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""]


def answers(port, request):
    got = answer(port, request)
    assert got, "closed without an answer"
    return got


def published_http_server_answers_curl(_):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        with open(scratch + "/big", "wb") as f:
            f.write(os.urandom(5_000_000))
        options = ["--mount", f"{scratch}:{scratch}", "--cwd", scratch]
        with Guest([PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "8000"], [8000], options) as guest:
            url = f"http://127.0.0.1:{guest.ports[0]}/"
            until(guest, lambda: answers(guest.ports[0], b"GET / HTTP/1.0\r\n\r\n"))
            if not shutil.which("curl"):
                raise Skip("not installed: curl")
            got = support.run(["curl", "-sS", url + "big"], timeout=PATIENCE)
            with open(scratch + "/big", "rb") as f:
                assert got.status == 0 and got.out == f.read(), (got.status, got.err, len(got.out))
            got = support.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url + "missing"], timeout=PATIENCE)
            assert got.out == b"404", got.out
            _, status = guest.end()
            assert status == -signal.SIGTERM, status


def published_nginx_serves_ten_thousand_requests(_):
    missing = [n for n in ("nginx", "ab") if not shutil.which(n, path=PATH)]
    if missing:
        raise Skip("not installed: " + " ".join(missing))
    config = """worker_processes 4; daemon off; pid /tmp/pid; error_log stderr; user root; events { worker_connections 256; }
        http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
        uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s; server { listen 127.0.0.1:80; return 200 "hello from nginx"; } }"""
    shell = 'echo "$0" > /tmp/conf; exec nginx -c /tmp/conf'
    with Guest(["/bin/bash", "-c", shell, config], [80]) as guest:
        port = guest.ports[0]
        until(guest, lambda: answers(port, b"GET / HTTP/1.0\r\n\r\n"))
        for keep in ([], ["-k"]):
            got = support.run(["ab", "-q", *keep, "-n", "10000", "-c", "16", f"http://127.0.0.1:{port}/"], timeout=2 * PATIENCE, env=ENV)
            out = got.out.decode()
            assert got.status == 0 and re.search(r"Complete requests: +10000\n", out), (out, got.err)
            assert re.search(r"Failed requests: +0\n", out) and "Non-2xx" not in out, out
        _, status = guest.end(signal.SIGQUIT)
        assert status == 0, (status, guest.errors())


def published_connections_echo_at_once(_):
    with Guest(echo_server("AF_INET", "127.0.0.1", 7), [7]) as guest:
        port = guest.ports[0]
        until(guest, lambda: answers(port, b"x"))
        data = os.urandom(300_000)
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            def one(i):
                with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as s:
                    text, got = data[i:i + 200_000], b""
                    sender = pool_send.submit(lambda: (s.sendall(text), s.shutdown(socket.SHUT_WR)))
                    while part := s.recv(65536):
                        got += part
                    sender.result()
                    return hashlib.sha256(got).digest() == hashlib.sha256(text).digest()
            with concurrent.futures.ThreadPoolExecutor(40) as pool_send:
                assert all(pool.map(one, range(120)))
        many = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(300)]
        for i, s in enumerate(many):
            s.sendall(b"%d" % i)
        for i, s in enumerate(many):
            assert s.recv(10) == b"%d" % i
            s.close()


def published_ipv6_server_is_found(_):
    with Guest(echo_server("AF_INET6", "::1", 7), [7]) as guest:
        assert until(guest, lambda: answers(guest.ports[0], b"six")) == b"six"


def published_answer_before_the_end_arrives(_):
    program = """
import socket
s = socket.create_server(('127.0.0.1', 5000))
print('ready', flush=True)
c = s.accept()[0]
c.recv(100); c.sendall(b'z' * 900_000); c.close()
"""
    with Guest([PYTHON, "-c", program], [5000]) as guest:
        assert guest.process.stdout.readline() == b"ready\n"
        assert len(answer(guest.ports[0], b"go", shut=False)) == 900_000
        assert guest.process.wait(PATIENCE) == 0


def published_port_without_a_server_is_closed(_):
    with Guest(["/bin/sleep", "1000"], [4000]) as guest:
        for _ in range(20):
            try:
                assert answer(guest.ports[0], b"anybody?") == b""
            except TimeoutError:
                raise
            except OSError:  # reset at one moment or another
                pass


def published_reset_goes_both_ways(_):
    program = """
import socket, struct
s = socket.create_server(('127.0.0.1', 5000))
print('ready', flush=True)
c = s.accept()[0]; print(c.recv(100), flush=True)
try: c.recv(100); print('no reset')
except ConnectionResetError: print('reset', flush=True)
c = s.accept()[0]; c.recv(100)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()
"""
    with Guest([PYTHON, "-c", program], [5000]) as guest:
        assert guest.process.stdout.readline() == b"ready\n"
        c = socket.create_connection(("127.0.0.1", guest.ports[0]), timeout=PATIENCE)
        c.sendall(b"hello")
        assert guest.process.stdout.readline() == b"b'hello'\n"
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
        assert guest.process.stdout.readline() == b"reset\n"
        try:
            answer(guest.ports[0], b"you?", shut=False)
            raise AssertionError("closed, not reset")
        except ConnectionResetError:
            pass
        assert guest.process.wait(PATIENCE) == 0


def port_in_use_is_refused(_):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        got = support.run([PAL, "run", "--publish", f"{port}:80", "--", "true"], cwd="/", timeout=PATIENCE)
        assert got.status == 125 and got.err == f"pal: --publish: port {port}: Address already in use\n".encode(), (got.status, got.err)


def loopback_does_not_reach_the_host(_):
    program = "import socket, sys\ntry: socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('reached')\nexcept OSError as e: print(e.strerror)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        for net, told in (("loopback", b"Connection refused\n"), ("none", b"Network is unreachable\n")):
            got = support.run(support.pal_run(PAL, ["--net", net]) + [PYTHON, "-c", program, str(server.getsockname()[1])], cwd="/", timeout=PATIENCE)
            assert got.status == 0 and got.out == told, (net, got.out, got.err)
        server.settimeout(0)
        try:
            server.accept()
            raise AssertionError("somebody came")
        except BlockingIOError:
            pass


def same_as_native(program, ignored):
    """A guest program over the host's network, but for lines that match."""
    path = os.path.join(os.path.dirname(PAL), "tests", "guest", program)
    runs = [support.run(words + [path], timeout=PATIENCE, env=ENV, cwd="/") for words in ([], support.pal_run(PAL, ["--net=host"]))]
    native, guest = ([line for line in r.out.decode(errors="replace").splitlines() if not re.search(ignored, line)] for r in runs)
    lines = list(difflib.unified_diff(native, guest, "native", "under pal", lineterm="", n=1))
    assert not lines, "\n".join(lines)
    assert runs[0].status == runs[1].status == 0 and len(native) > 50, (runs[0].status, runs[1].status)


def host_tcp_is_the_same(_):
    same_as_native("tcp.glibc", "^signals ")


def host_udp_is_the_same(_):
    same_as_native("udp.glibc", "IP_PKTINFO|_RECV|TIMESTAMP|^control|^flags")


def host_server_is_reached_by_the_guest(_):
    program = """
import socket, sys, hashlib
c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
c.settimeout(60)
sent = c.sendmsg([b'%d ' % i for i in range(50)]); c.shutdown(socket.SHUT_WR)
h = hashlib.sha256()
while d := c.recv(100000): h.update(d)
print(sent, h.hexdigest())
"""
    data = os.urandom(3_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with Guest([PYTHON, "-c", program, str(server.getsockname()[1])], options=["--net=host"]) as guest:
            c = server.accept()[0]
            c.settimeout(PATIENCE)
            got = b""
            while part := c.recv(65536):
                got += part
            want = b"".join(b"%d " % i for i in range(50))
            assert got == want, got
            c.sendall(data)
            c.close()
            out, _ = guest.process.communicate(timeout=PATIENCE)
            assert out.decode() == f"{len(want)} {hashlib.sha256(data).hexdigest()}\n", out


EDGES = """
import select, socket
s = socket.create_server(('127.0.0.1', 0), backlog=64); s.setblocking(False)
print(s.getsockname()[1], flush=True)
e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLET)
clients, closed, looks = {}, 0, 0
while closed < 20:
    looks += 1
    for fd, what in e.poll():
        while fd == s.fileno():
            try: c, _ = s.accept()
            except BlockingIOError: break
            c.setblocking(False); clients[c.fileno()] = c
            e.register(c, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        while fd in clients:
            try: d = clients[fd].recv(1000)
            except BlockingIOError: break
            if d: clients[fd].send(d)
            else: closed += 1; clients.pop(fd).close()
print(looks, flush=True)
"""


def host_edges_are_told_once(_):
    # A loop that is told level by level would look without end while the clients sleep.
    with Guest([PYTHON, "-c", EDGES], options=["--net=host"]) as guest:
        port = int(guest.process.stdout.readline())
        for _ in range(4):
            clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(5)]
            for text in (b"a", b"b" * 5000, b"c"):
                for c in clients:
                    c.sendall(text)
                time.sleep(0.05)
                for c in clients:
                    got = b""
                    while len(got) < len(text):
                        got += c.recv(65536)
                    assert got == text
            for c in clients:
                c.close()
        looks = int(guest.process.stdout.readline())
        assert guest.process.wait(PATIENCE) == 0
        assert looks < 2000, looks


def host_requests_of_odd_sizes(_):
    program = """
import socket, struct
for size in (0, 15, 16, 17, 20, 0x7fffffff, 0xfffffffd, 0xffffffff):
    for kind in (1, 18):
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.settimeout(20)
        try: print(size, kind, s.send(struct.pack('IHHII', size, kind, 1, 7, 0)))
        except OSError as e: print(size, kind, e.errno)
try: s.send(bytes(1 << 20)); print('sent')
except OSError as e: print(e.errno)
"""
    runs = [support.run(words + [PYTHON, "-c", program], timeout=PATIENCE, env=ENV, cwd="/") for words in ([], support.pal_run(PAL, ["--net=host"]))]
    for run in runs:
        assert run.status == 0 and run.out.count(b"\n") == 17, (run.status, run.out, run.err)
    assert runs[0].out == runs[1].out, (runs[0].out.decode(), runs[1].out.decode())


def host_server_inside_serves_curl(_):
    if not shutil.which("curl"):
        raise Skip("not installed: curl")
    with Guest([PYTHON, "-u", "-c", "import http.server as h; s = h.ThreadingHTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); "
                "print(s.server_address[1]); s.serve_forever()"], options=["--net=host", "--cwd", "/usr/share/common-licenses"]) as guest:
        port = int(guest.process.stdout.readline())
        got = support.run(["curl", "-sS", f"http://127.0.0.1:{port}/GPL-3"], timeout=PATIENCE)
        with open("/usr/share/common-licenses/GPL-3", "rb") as f:
            assert got.status == 0 and got.out == f.read(), (got.status, got.err)


def main():
    global PAL
    checks = {name: value for name, value in globals().items() if re.match("published_|port_|loopback_|host_", name)}
    parser = argparse.ArgumentParser()
    parser.add_argument("--pal", required=True)
    parser.add_argument("name", choices=[*SCRIPTS, *checks])
    args = parser.parse_args()
    PAL = os.path.abspath(args.pal)
    support.adopt_orphans()
    try:
        if args.name in SCRIPTS:
            compare(*SCRIPTS[args.name])
        else:
            checks[args.name](None)
    except Skip as why:
        print("skipped:", why)
        return 77
    _, left = support.leftovers()
    if left:
        print(f"left running: {left}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
