//! ENTRY: the router, session check, guard, pages, live updates, tickets, the gateway to runtimes, the internal listener.
