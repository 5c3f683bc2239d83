/*
 * A server that is in nobody's way: it takes one connection at a time and answers whatever arrives with the same small
 * HTTP response, until the client closes.
 *
 * Usage: answer ADDRESS PORT
 * It prints a line once it listens. What one read() returns it takes for one request: its clients never send two at once,
 * and none is longer than a packet.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

static void serve(int fd)
{
	char request[4096];
	while (read(fd, request, sizeof request) > 0)
		if (send(fd, response, sizeof response - 1, MSG_NOSIGNAL) < 0)
			return;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int on = 1;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		errx(2, "usage: answer ADDRESS PORT");
	address.sin_port = htons(atoi(argv[2]));
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	/* What is accepted inherits TCP_NODELAY. */
	if (listener < 0 || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16384) < 0)
		err(1, "listen on %s:%s", argv[1], argv[2]);
	puts("listening");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			err(1, "accept");
		serve(fd);
		close(fd);
	}
}
