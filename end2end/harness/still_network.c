/* Keeps Chromium from watching the machine's network interfaces.
 *
 * Each runtime has a network of its own, so starting one adds an interface. Chromium takes that for a change of network and breaks off requests
 * that are under way with ERR_NETWORK_CHANGED, also those to loopback. A person reloads; a test would fail by chance. Without a netlink socket
 * Chromium assumes that it is online and watches nothing. Preloaded into the test's browser only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol) {
    static int (*next)(int, int, int);
    if (domain == AF_NETLINK) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    if (!next)
        next = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    return next(domain, type, protocol);
}
