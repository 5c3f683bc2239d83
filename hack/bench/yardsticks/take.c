/*
 * A server that takes one connection at a time and holds it until the client closes. It never sleeps: to wake a sleeping
 * server costs the client's connect() about a third of its time in a virtual machine, and only if the client left the
 * server time to fall asleep, so that what a client does between its connects would be taken for what they take.
 *
 * Usage: take ADDRESS PORT
 * It prints a line once it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char nothing[64];

	if (argc != 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		errx(2, "usage: take ADDRESS PORT");
	address.sin_port = htons(atoi(argv[2]));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16384) < 0)
		err(1, "listen on %s:%s", argv[1], argv[2]);
	puts("listening");
	fflush(stdout);
	for (;;) {
		int fd;
		while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
			if (!again())
				err(1, "accept");
		while (read(fd, nothing, sizeof nothing) < 0 && again())
			;
		close(fd);
	}
}
