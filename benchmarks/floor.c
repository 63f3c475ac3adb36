/* The least a server can do with a WebSocket frame: wait, receive, unmask, copy into a ring of one second.
 *
 * One thread, level-triggered epoll, one recv for each readiness. Binary frames of clients with 126 bytes to
 * a second of audio (RFC 6455 section 5.2) are all it understands; an opening handshake gets a fixed answer. It
 * prints its port, and ends by a signal. What the kernel takes for a frame, every server takes as well.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 8, BUFFER = 1 << 16, RING = 32000 /* bytes: 16 kHz, 16 bits */, READY = 256, END = 4 };

typedef struct {
    int fd, open, at; /* at: where the ring goes on */
    size_t have;      /* bytes of a frame that is not whole yet */
    unsigned char rest[HEAD + RING], ring[RING];
} Connection;

static unsigned char in[BUFFER]; /* one for all, so that it stays in the cache */

static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void unmask(unsigned char *data, size_t size, uint32_t mask) {
    uint64_t both = (uint64_t)mask << 32 | mask, word;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= both;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++) data[i] ^= ((unsigned char *)&mask)[i % 4];
}

static void keep(Connection *c, const unsigned char *data, size_t size) {
    size_t first = size < (size_t)(RING - c->at) ? size : (size_t)(RING - c->at);
    memcpy(c->ring + c->at, data, first);
    memcpy(c->ring, data + first, size - first);
    c->at = (c->at + size) % RING;
}

/* Everything that has come; -1 once the peer is gone. */
static int turn(Connection *c) {
    memcpy(in, c->rest, c->have);
    ssize_t got = recv(c->fd, in + c->have, BUFFER - c->have, 0);
    if (got <= 0) return -1;
    size_t have = c->have + got, start = 0;
    if (!c->open && have >= END && !memcmp(in + have - END, "\r\n\r\n", END)) {
        c->open = 1, start = have;
        if (send(c->fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) return -1;
    }
    while (c->open && have - start >= HEAD) {
        unsigned char *frame = in + start;
        size_t size = (size_t)frame[2] << 8 | frame[3];
        uint32_t mask;
        if (frame[0] != 0x82 || frame[1] != (0x80 | 126) || size > RING) return -1;
        if (have - start < HEAD + size) break;
        memcpy(&mask, frame + 4, 4);
        unmask(frame + HEAD, size, mask);
        keep(c, frame + HEAD, size);
        start += HEAD + size;
    }
    if ((c->have = have - start) > sizeof c->rest) return -1;
    memcpy(c->rest, in + start, c->have);
    return 0;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct epoll_event event = {.events = EPOLLIN}, ready[READY];
    int listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    if (bind(listener, (void *)&address, length) || listen(listener, 1024)) return 1;
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port)), fflush(stdout);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poller, ready, READY, -1);
        for (int i = 0; i < count; i++) {
            Connection *c = ready[i].data.ptr;
            if (c == NULL) {
                if ((c = calloc(1, sizeof *c)) == NULL) return 1;
                c->fd = accept(listener, NULL, NULL), event.data.ptr = c;
                epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
            } else if (turn(c) < 0) {
                close(c->fd), free(c);
            }
        }
    }
}
