-- Without host names of their own runtimes have ports (CLAWLOOPS_RUNTIME_PORTS): one each, for as long as the runtime is there. A deleted one leaves its
-- number behind, so that the port that was free for longest is given away next: a browser may still hold what an earlier runtime left at its origin.
alter table runtime add column port int check (port between 1 and 65535);
create unique index runtime_port_key on runtime (port) where deleted_at is null;
create index runtime_port_past_idx on runtime (port, deleted_at) where deleted_at is not null and port is not null;
