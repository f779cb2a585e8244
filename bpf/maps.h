/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Settings, buffers, counters and what is kept about sockets and processes.
 * Sizes given here are the defaults; the loader may set others.
 */
#ifndef TT_MAPS_H
#define TT_MAPS_H

#include "compat.h"
#include "events.h"

/* Given at start, constant afterwards: a branch not taken is not even loaded. */
struct tt_config {
	tt_ns slower_ns;     /* what took less is left out; 0: nothing is */
	__u32 kinds;	     /* bit per enum tt_kind: records wanted */
	__u32 states;	     /* bit per enum tt_tcp_state, 0: any */
	__u32 not_states;    /* likewise; what is `not_` is left out */
	__u8 stream;	     /* send records */
	__u8 count_by_owner; /* keep tt_counts */
	__u8 keep_remains;   /* keep tt_timewaits */
	__u8 failed;	     /* what went well is left out */
	__u8 asks_owners;    /* any of the six that follow */
	__u8 filter_pid;
	__u8 filter_comm;
	__u8 filter_cgroup;
	__u8 not_pid;
	__u8 not_comm;
	__u8 not_cgroup;
	__u8 follow;	  /* children of targets are targets */
	__u8 needs_tuple; /* somebody looks at addresses */
	__u8 family;	  /* 4, 6, 0: both */
	__u8 filter_netns;
	__u8 filter_port;
	__u8 filter_lport;
	__u8 filter_rport;
	__u8 filter_addr;
	__u8 filter_laddr;
	__u8 filter_raddr;
	__u8 filter_uid;
	__u8 excludes; /* any of those that follow */
	__u8 not_family;
	__u8 not_netns;
	__u8 not_port;
	__u8 not_lport;
	__u8 not_rport;
	__u8 not_addr;
	__u8 not_laddr;
	__u8 not_raddr;
	__u8 not_uid;
	__u8 keep_uid;	    /* a recording is asked later whose each socket was */
	__u8 listen_stats;  /* count what happens in the queues of each listener */
	__u8 accept_hook;   /* accepts are seen: one that is not is told as it ends */
	__u8 connect_exit;  /* connect()'s end is seen: what it says need not be guessed */
	__u8 answers_apart; /* RSTs without a connection are told by programs of their own */
	__u8 tell_forks; /* tell of every process: a recording is asked later whose child each was
			  */
	__u8 hold_children; /* 1: a child without a peer is told of with its next transition; 2: all
			     */
	__u8 uring;	    /* 1: io_uring_complete has an answer as it stands, 2: its parts */
	__u8 ring;	    /* send through ring buffers, not perf buffers */
	__u8 casts;	    /* bpf_rdonly_cast() is there: see tt_cast() */
	__u8 listens_alone; /* of states, begin and end of listening alone are told */
	__u8 see_drops;	    /* what listeners throw away is looked at, or what is else dropped */
	__u8 drop_takes_acks; /* the program that looks at dropped packets looks at final ACKs */
	__u8 alone;	      /* a snapshot: nothing is traced, and nothing known from tracing */
	__u8 inodes;	      /* of open sockets, where a snapshot asks for them */
	__u8 stacks;	      /* of dropped packets */
	__u8 count_resets;    /* keep tt_resets */
	__u32 most_answers;   /* RSTs without a connection sent, a second and CPU; 0: all */
	__u8 made;	      /* where each socket was made */
	__u32 last_place;     /* of tt_places: their number, a power of two, less one */
	__u32 tick_ns;	      /* of the kernel's jiffies */
};

/*
 * Patterns for names of processes, four in a word: 16 bits each, of which bit n stands
 * for "n elements are behind, and the next may come".
 */
#define TT_GLOB_WORDS 8

struct tt_globs {
	__u64 takes[TT_GLOB_WORDS][256]; /* by byte: whose next element takes it */
	__u64 stays[TT_GLOB_WORDS];	 /* what a star stands at: takes any byte, and stays */
	__u64 starts[TT_GLOB_WORDS];
	__u64 wanted[TT_GLOB_WORDS]; /* all of a pattern of --comm is behind */
	__u64 unwanted[TT_GLOB_WORDS];
};

struct tt_portset {
	__u64 bits[1024];
};

SETTING(struct tt_config, tt_config);
TABLE(struct tt_globs, tt_globs);
TABLE(struct tt_portset, tt_ports);
TABLE(struct tt_portset, tt_lports);
TABLE(struct tt_portset, tt_rports);
TABLE(struct tt_portset, tt_not_ports);
TABLE(struct tt_portset, tt_not_lports);
TABLE(struct tt_portset, tt_not_rports);

/* Set by user space when the seed is complete; nothing is counted or sent before. */
struct tt_control {
	__u64 live;
	tt_mono_ns closed_ns;	/* no longer live since; what began before may tell its end */
	tt_mono_ns attached_ns; /* older sockets are told by an age of at least this */
	__u64 map_full;		/* since then an unknown socket need not be an old one */
	__u64 seeding;		/* what was there before is being looked at */
	__u64 turn;		/* which of the two turns counts now */
	__u64 told_errors;	/* a socket has a told_error, or had */
	__u64 drops_wait;	/* what was dropped so far is of before: not to be told yet */
	__u64 look;		/* how often listeners were looked at: peaks are those since */
	__u64 holders_look;	/* how often all descriptors were looked at, */
	__u64 second_pass;	/* whether that is being done once more, */
	__u64 hearers_changes;	/* one more than how often somebody began or ceased to listen */
	__u64 passed_on;	/* and of how many connections the owner was not met at first */
	__u64 names_full; /* a process is called as was asked for, and there was no room to say so
			   */
	__u64 cgroups_made;
	__u64 unmade; /* sockets of which there was no room to keep where they were made */
	/* what there was no room to count: RSTs; and of namespaces beyond those there is room for,
	 * children thrown away, SYN-ACKs sent again, and packets that listeners let go of
	 */
	__u64 resets_unplaced;
	__u64 children_unplaced;
	__u64 synacks_unplaced;
	__u64 unlooked;
	__u64 reader_sleeps; /* for long: the first record into an empty ring wakes it */
	__u32 pidns;	     /* inode of the tracer's PID namespace, */
	__u32 pidns_level;   /* and its depth: the task iterator, run by it, finds both */
};

CONTROL(struct tt_control, tt_control);

MAP_PERF(tt_small);

MAP_PERF(tt_large);

#ifndef TT_BCC
/*
 * The other road, since v5.8: a ring buffer for each CPU, so that none waits for
 * another's lock. User space makes them and puts them here.
 */
struct tt_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct tt_ring);
} tt_small_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct tt_ring);
} tt_large_rings SEC(".maps");
#endif

MAP_OF(PERCPU_ARRAY, tt_stats, __u32, struct tt_stats, TT_SLOT_MAX);

/*
 * The transition that the first of the two state programs took up last on this
 * CPU; see probes/state.bpf.c.
 */
struct tt_turn {
	__u64 sk;
	__u32 old;
	__u32 new;
};

MAP_OF(PERCPU_ARRAY, tt_turns, __u32, struct tt_turn, 1);

/*
 * Where records are made: a program's stack has no room for them, and the
 * verifier follows every word of a stack, on every road.
 */
struct tt_bench {
	struct tt_state event;
	struct tt_state held;
	struct tt_large large;
	struct tt_open_row open; /* what is measured of a connection that ends */
};

MAP_OF(PERCPU_ARRAY, tt_benches, __u32, struct tt_bench, TT_SLOT_MAX);

/* Likewise a task record: it is made in process context alone, so never inside another. */
MAP_OF(PERCPU_ARRAY, tt_task_scratch, __u32, struct tt_large, 1);

/*
 * Transitions by owner and dwell, counted in two turns: while one is filled,
 * user space takes the other away. Each CPU and program has TT_TALLIES places in
 * a turn; a key that finds its place taken by another is in tt_counts, a
 * preallocated hash, as is one of a CPU that there is no room for.
 */
#define TT_TALLIES 1024
#define TT_TURNS 2
#define TT_COUNTING_SLOTS TT_SLOT_PROCESS /* those before it count transitions */

struct tt_tally {
	struct tt_count_key key;
	struct tt_count_value value;
	__u64 reserved[2]; /* a cache line */
};

MAP_WITH(ARRAY, tt_tallies, __u32, struct tt_tally, TT_TALLIES, BPF_F_MMAPABLE);

MAP_OF(PERCPU_HASH, tt_counts, struct tt_count_key, struct tt_count_value, 16384);

/* Who will answer for a socket. */
struct tt_owner {
	tt_cgroup cgroup_id;
	tt_pid pid;
	tt_ticks start;
};

/*
 * From the first transition, or the seed, to tcp_destroy_sock(). One cache line;
 * bpf/socks.h says where it lies.
 */
struct tt_sock {
	tt_cookie cookie; /* 0: nobody's */
	struct tt_owner owner;
	tt_mono_ns since_ns;	   /* when it entered `state`, 0: before tracing */
	tt_mono_ns established_ns; /* while it connects: when that began */
	tt_cookie listener_cookie;
	tt_us handshake_us;
	__u8 states; /* now in the low half, 0: seeded, and not heard of since; in the high one
		      * what it left for that
		      */
	tt_owner_is_t owner_is;
	tt_marks marks; /* of who answers for it */
	__u8 seeded;
	__u8 is;	 /* TT_SOCK_ bits */
	__u8 told_error; /* how its last attempt to connect ended; connect() will say so too */
	__u16 held;	 /* what the last look at all descriptors found, see holders.h */
	__u32 crowd;	 /* of a place: how many of its sockets are in tt_socks instead */
};

#define TT_SOCK_CONNECTING 1
#define TT_SOCK_LATE_DATA 32 /* broken by data that came after close(), not by a RST */
#define TT_SOCK_WAITING 2    /* finished, and not accepted yet */
#define TT_SOCK_HELD 4	     /* its LISTEN->SYN_RECV is not told of yet */
#define TT_SOCK_TAKEN 8	     /* accepted, and nobody saw it: to be told as it ends */
#define TT_SOCK_LEFT 24	     /* the same, and nobody has closed it yet */

/* In user space's reach as memory, not by a system call a socket. */
MAP_WITH(ARRAY, tt_places, __u32, struct tt_sock, 65536, BPF_F_MMAPABLE);

MAP_OF(HASH, tt_socks, tt_cookie, struct tt_sock, 131072);

/* Listeners, while they listen: what a record says of one after the fact. */
struct tt_listener {
	struct tt_owner owner; /* who accepted last, before that who called listen() */
	tt_pid opener_pid;     /* who called listen(); of an older one, its oldest holder */
	tt_ticks opener_start;
	tt_addr addr;
	__u64 sk; /* the kernel's pointer: only compared, or read through a checked copy */
	tt_netns netns;
	tt_port port;
	tt_family family;
	tt_marks marks; /* of all that hold it, but for the name of the owner: that may change */
	tt_uid uid;
	__u32 reserved;
};

MAP_OF(HASH, tt_listeners, tt_cookie, struct tt_listener, 16384);

/*
 * What happened in its queues, with listen_stats alone. Apart from what is above:
 * that user space corrects, as a whole; this it only reads.
 */
struct tt_queue {
	__u64 sk;	      /* the listener, as tt_listener has it */
	tt_mono_ns opened_ns; /* 0: before tracing */
	tt_mono_ns closed_ns; /* 0: it listens; else user space forgets it at its next look */
	tt_mono_ns full_since_ns;
	tt_ns full_ns;
	__u64 finished;
	__u64 accepts;
	__u64 reset_in_queue;
	__u64 never_accepted;
	__u64 overflows;
	__u64 cookies_sent;
	__u64 drops[TT_CAUSE_MAX];
	/* by the turn of the look, each with the look's number above it */
	__u64 accept_queue_peaks[TT_TURNS];
	__u64 syn_queue_peaks[TT_TURNS];
	tt_count accept_queue_max;
	tt_count somaxconn; /* of its namespace, when it was opened; 0: before tracing */
};

MAP_OF(HASH, tt_queues, tt_cookie, struct tt_queue, 16384);

/* Where an entry is made: in process context alone. */
MAP_OF(PERCPU_ARRAY, tt_new_queue, __u32, struct tt_queue, 1);

/* Seeded listeners by port: whose queue an older child is in. Several: nobody knows. */
struct tt_port_key {
	tt_netns netns;
	__u32 port;
};

MAP_OF(HASH, tt_ports_heard, struct tt_port_key, tt_cookie, 16384);

/*
 * Who left a mini-socket in TIME_WAIT behind. There is no hook at its end, so
 * the oldest make room: cookies are given out in rising order, and the low bits
 * of one say its place. A lost entry only means "unknown".
 */
#define TT_REMAINS 131072

struct tt_remains {
	tt_cookie cookie;
	struct tt_owner owner;
	tt_uid uid;
	tt_owner_is_t owner_is;
	tt_marks marks;
};

MAP_OF(ARRAY, tt_timewaits, __u32, struct tt_remains, TT_REMAINS);

/*
 * When the first SYN-ACK of a handshake went out, us, once a second has gone:
 * the child does not know, as the kernel times no packet that was sent twice.
 * Those whose handshake never ends make room for others.
 */
struct tt_synack_key {
	tt_addr laddr;
	tt_addr raddr;
	tt_port lport;
	tt_port rport;
	tt_netns netns;
};

MAP_OF(LRU_HASH, tt_synacks, struct tt_synack_key, __u64, 16384);

/* What the kernel counts of handshakes, by namespace, whatever records tell: bpf/handshake.h. */
struct tt_untold {
	__u64 children; /* made and thrown away */
	__u64 synacks;	/* sent again */
};

MAP_OF(HASH, tt_untold, tt_netns, struct tt_untold, 1024);

/* Processes told of: tgid -> start. A task record is sent once for each. */
MAP_OF(HASH, tt_tasks, tt_pid, tt_ticks, 32768);

/* What a namespace, a uid or a network is asked for as: values of the maps below. */
enum tt_asked {
	TT_WANTED = 1, /* of networks: at either end */
	TT_WANTED_LOCAL = 2,
	TT_WANTED_REMOTE = 4,
	TT_UNWANTED = 8,
	TT_UNWANTED_LOCAL = 16,
	TT_UNWANTED_REMOTE = 32,
};

struct tt_target {
	tt_ticks start;
	__u32 marks;
};

/* The processes of --pid and their descendants, by tgid. */
MAP_OF(HASH, tt_targets, tt_pid, struct tt_target, 32768);

/* Control groups of --cgroup and all below them, by id: enum tt_mark. */
MAP_WITH(HASH, tt_cgroups, tt_cgroup, tt_marks, 16384, BPF_F_NO_PREALLOC);

/*
 * Places in the tree of control groups: those that were asked for, and what they lie
 * in. What is made there once more is asked for too. By place and name, not by path:
 * a namespace of control groups shows paths of its own.
 */
struct tt_cgroup_step {
	tt_cgroup above; /* the place, known by who was there first */
	char name[248];	 /* zero from its end on */
};

struct tt_cgroup_place {
	tt_cgroup place;
	__u64 marks;
};

MAP_WITH(HASH, tt_cgroup_steps, struct tt_cgroup_step, struct tt_cgroup_place, 16384,
	 BPF_F_NO_PREALLOC);

/* Where a control group is, by id; those alone that are at such a place. */
MAP_WITH(HASH, tt_cgroup_places, tt_cgroup, tt_cgroup, 16384, BPF_F_NO_PREALLOC);

MAP_OF(PERCPU_ARRAY, tt_new_step, __u32, struct tt_cgroup_step, 1);

/*
 * Control groups made since tracing began, the latest of them: one may be gone before
 * user space can look up what it was called.
 */
#define TT_MADE_CGROUPS 2048

struct tt_made_cgroup {
	tt_cgroup id;
	tt_cgroup above;
	tt_cgroup_name name;
};

MAP_WITH(ARRAY, tt_made_cgroups, __u32, struct tt_made_cgroup, TT_MADE_CGROUPS, BPF_F_MMAPABLE);

/* Those with a name that is asked for, or that had one, by tgid. */
MAP_OF(HASH, tt_named, tt_pid, struct tt_target, 32768);

MAP_OF(HASH, tt_netns_set, tt_netns, __u8, 1024);

MAP_OF(HASH, tt_uids, tt_uid, __u8, 1024);

struct tt_addr_key {
	__u32 prefixlen;
	tt_addr addr;
};

MAP_WITH(LPM_TRIE, tt_addrs, struct tt_addr_key, __u8, 4096, BPF_F_NO_PREALLOC);

#endif
