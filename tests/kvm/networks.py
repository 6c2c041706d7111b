#!/usr/bin/env python3
"""networks.py PAL LINGER_GUEST: what --net and --publish give a guest on the platform kvm. Status 77: this machine cannot; a line with SKIP says why."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUSYBOX = "/bin/busybox"
PATIENCE = 120


def command(pal, options, *argv):
    return [pal, "run", "--platform=kvm", "--vcpus", "1", *options, "--", BUSYBOX, *argv]


def run(pal, options, *argv):
    done = subprocess.run(command(pal, options, *argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def server_of_host(kind, answers):
    """A server on the host's loopback that answers `answers` requests; its port."""
    server = socket.socket(socket.AF_INET, kind)
    server.settimeout(PATIENCE)
    server.bind(("127.0.0.1", 0))

    def serve():
        for _ in range(answers):
            if kind == socket.SOCK_DGRAM:
                data, peer = server.recvfrom(1000)
                server.sendto(b"answer to " + data, peer)
                continue
            with server.accept()[0] as connection:
                connection.settimeout(PATIENCE)
                size = 0
                while data := connection.recv(65536):
                    size += len(data)
                connection.sendall(b"%d bytes\n" % size)

    if kind == socket.SOCK_STREAM:
        server.listen()
    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def host_server_answers_a_guest(pal):
    port = server_of_host(socket.SOCK_STREAM, 1)
    status, out, err = run(pal, ["--net=host"], "sh", "-c", f"busybox head -c 300000 /dev/zero | busybox nc 127.0.0.1 {port}")
    assert (status, out) == (0, b"300000 bytes\n"), (status, out, err)


def host_is_out_of_reach_otherwise(pal):
    port = server_of_host(socket.SOCK_STREAM, 1)
    status, out, err = run(pal, [], "nc", "127.0.0.1", str(port))
    assert status == 1 and not out and "Connection refused" in err, (status, out, err)


def close_that_lingers_holds_up_nobody_else(pal):
    program = os.path.abspath(sys.argv[2])
    with socket.socket() as server: # its backlog takes the connection; nobody takes the data
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        done = subprocess.run([pal, "run", "--platform=kvm", "--vcpus", "1", "--net=host", "--mount", os.path.dirname(program) + ":/program", "--",
                               "/program/" + os.path.basename(program), str(server.getsockname()[1])],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, b"the close waited, the others did not\n"), done


def published_server_answers_the_host(pal):
    with tempfile.TemporaryFile() as log:
        guest = subprocess.Popen(command(pal, ["--publish", "0:80"], "httpd", "-f", "-p", "80", "-h", os.path.dirname(os.path.abspath(__file__))),
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            published_answers(guest, log)
        finally:
            if guest.poll() is None:
                os.killpg(guest.pid, signal.SIGKILL)
            guest.wait()


def published_answers(guest, log):
    port, end = None, time.monotonic() + PATIENCE
    with open(os.path.abspath(__file__), "rb") as file:
        wanted = file.read()
    while True:
        said = os.pread(log.fileno(), 1000, 0).decode(errors="replace")
        assert time.monotonic() < end and guest.poll() is None, said
        time.sleep(0.05)
        port = port or re.search(r"published as 127\.0\.0\.1:(\d+)\n", said)
        if not port:
            continue
        try:
            with socket.create_connection(("127.0.0.1", int(port.group(1))), timeout=PATIENCE) as s:
                s.sendall(b"GET /networks.py HTTP/1.0\r\n\r\n")
                parts = []
                while part := s.recv(65536):
                    parts.append(part)
        except OSError:
            continue
        answer = b"".join(parts)
        if answer: # a connection before the guest listens is closed
            assert answer.split(b"\r\n\r\n", 1)[1] == wanted, answer[:200]
            return


def main():
    pal = sys.argv[1]
    if not os.path.exists(BUSYBOX):
        print(f"SKIP: no {BUSYBOX}")
        sys.exit(77)
    platforms = subprocess.run([pal, "platforms"], stdout=subprocess.PIPE, check=True).stdout.decode()
    line = next(line for line in platforms.splitlines() if line.startswith("kvm "))
    if line.split()[1] != "available":
        print(f"SKIP: {line}")
        sys.exit(77)
    for check in (host_server_answers_a_guest, host_is_out_of_reach_otherwise, close_that_lingers_holds_up_nobody_else,
                  published_server_answers_the_host):
        check(pal)
        print(f"passed {check.__name__}")


main()
