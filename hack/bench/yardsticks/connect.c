/*
 * Opens connections one after the other, as plainly as C can.
 *
 * Usage: connect ADDRESS PORT
 * Each line of standard input, WARMUP MILLISECONDS, asks for a block: WARMUP connections that are not counted, then as many
 * as fit the time. The answer is a line with three numbers: how many those were, the nanoseconds that all of them took
 * together, from the first socket() to the last close(), and the median of the nanoseconds of a connect().
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20 };

static long long nanoseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long open_and_close(const struct sockaddr_in *server)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		err(1, "socket");
	long long begin = nanoseconds();
	if (connect(fd, (const struct sockaddr *)server, sizeof *server) < 0)
		err(1, "connect");
	long long took = nanoseconds() - begin;
	close(fd);
	return took;
}

static int order(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

static void block(const struct sockaddr_in *server, int warmup, long milliseconds, long long *took)
{
	while (warmup-- > 0)
		open_and_close(server);
	long count = 0;
	long long begin = nanoseconds(), end = begin + milliseconds * 1000000LL, now = begin;
	for (; now < end && count < MOST; now = nanoseconds())
		took[count++] = open_and_close(server);
	qsort(took, count, sizeof *took, order);
	printf("%ld %lld %lld\n", count, now - begin, took[count / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	static long long took[MOST];
	int warmup;
	long milliseconds;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		errx(2, "usage: connect ADDRESS PORT");
	server.sin_port = htons(atoi(argv[2]));
	while (scanf("%d %ld", &warmup, &milliseconds) == 2)
		block(&server, warmup, milliseconds, took);
	return 0;
}
