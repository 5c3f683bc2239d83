/*
 * Opens connections and keeps them open until its standard input ends.
 *
 * Usage: hold ADDRESS FIRST_PORT PORTS COUNT
 * COUNT connections go to PORTS ports in turn, from FIRST_PORT on. It prints a line once all are open.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	struct rlimit files;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		errx(2, "usage: hold ADDRESS FIRST_PORT PORTS COUNT");
	int first = atoi(argv[2]), ports = atoi(argv[3]), count = atoi(argv[4]);
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		err(1, "getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		err(1, "setrlimit");

	for (int i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			err(1, "socket %d of %d", i + 1, count);
		server.sin_port = htons(first + i % ports);
		if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
			err(1, "connect %d of %d", i + 1, count);
	}
	puts("open");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
