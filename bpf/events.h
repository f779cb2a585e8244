/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The wire: every byte that passes from the kernel to Python is laid out here
 * and nowhere else. Python derives its dtypes from the object's BTF; the name
 * of a typedef says what a field means (its unit, how it is written), the name
 * of a sized enum gives its value names. tests/golden/layout.json pins it.
 *
 * Event records come in two sizes, each with a buffer of its own: the small
 * one (struct tt_state) and the large one (struct tt_large). All fields are in
 * the machine's byte order, ports and addresses included where not said
 * otherwise.
 */
#ifndef TT_EVENTS_H
#define TT_EVENTS_H

typedef __u64 tt_mono_ns;	/* CLOCK_MONOTONIC, ns */
typedef __u64 tt_ns;		/* a span, ns */
typedef __u32 tt_low_us;	/* CLOCK_MONOTONIC in us, the low 32 bits of it */
typedef __u32 tt_us;		/* a span, us */
typedef __u64 tt_bytes;		/* payload: neither SYN nor FIN, which take up a number each */
typedef __u64 tt_cookie;	/* socket cookie, 0: none */
typedef __u64 tt_cgroup;	/* cgroup v2 id (inode of its directory), 0: none */
typedef __u32 tt_netns;		/* inode of the network namespace */
typedef __u32 tt_pid;		/* tgid in the initial PID namespace, 0: none */
typedef __u32 tt_local_pid;	/* tgid in the tracer's PID namespace, 0: not visible there */
typedef __u32 tt_ticks;		/* start of a process, field 22 of /proc/PID/stat, modulo 2^32 */
typedef __u16 tt_port;		/* host byte order, 0: not bound yet */
typedef __u8 tt_addr[16];	/* network order; IPv4 as ::ffff:a.b.c.d */
typedef char tt_comm[16];	/* zero-terminated */
typedef char tt_congestion[16]; /* likewise */
typedef __s32 tt_errno;		/* positive, 0: none */
typedef __u32 tt_count;
typedef __u32 tt_uid; /* of the socket, as `ss -e` shows it */

typedef __u32 tt_rst_reason;	  /* enum sk_rst_reason of the running kernel */
typedef __u32 tt_reason;	  /* enum skb_drop_reason of the running kernel */
typedef __u64 tt_code;		  /* an address of the kernel's code */
typedef char tt_cgroup_name[256]; /* of its directory, zero-terminated */
typedef char tt_dev[16];	  /* name of a network device, zero-terminated */
typedef __u32 tt_stack_id;	  /* one more than where the kernel keeps it; enum tt_stack_is */

typedef __u8 tt_marks; /* enum tt_mark */

#define TT_NOBODY 0xffffffff /* a uid that is not known */

enum tt_kind {
	TT_KIND_STATE = 1,
	TT_KIND_ACCEPT = 2,
	TT_KIND_TASK = 3,
	TT_KIND_LOST = 4, /* made in user space from the counters below */
	TT_KIND_HANDSHAKE = 5,
	TT_KIND_SYN_DROP = 6,
	TT_KIND_CONNECTION = 7,
	TT_KIND_RETRANSMIT = 8,
	TT_KIND_RESET = 9,
	TT_KIND_ERROR = 10,
	TT_KIND_DROP = 11,
	TT_KIND_MAX = 12,
};

enum tt_owner_is {
	TT_OWNER_UNKNOWN = 0,
	TT_OWNER_PROCESS = 1,
	TT_OWNER_LISTENER = 2,
	TT_OWNER_KERNEL = 3,
	TT_OWNER_EXITED = 4, /* decided in user space, from the task records */
};

/* include/net/tcp_states.h; the numbers are ABI (tcp_info, inet_diag) */
enum tt_tcp_state {
	TT_NONE = 0,
	TT_ESTABLISHED = 1,
	TT_SYN_SENT = 2,
	TT_SYN_RECV = 3,
	TT_FIN_WAIT1 = 4,
	TT_FIN_WAIT2 = 5,
	TT_TIME_WAIT = 6,
	TT_CLOSE = 7,
	TT_CLOSE_WAIT = 8,
	TT_LAST_ACK = 9,
	TT_LISTEN = 10,
	TT_CLOSING = 11,
	TT_NEW_SYN_RECV = 12,
};

enum tt_dwell_is {
	TT_DWELL_EXACT = 0,
	TT_DWELL_AT_LEAST = 1, /* the state was entered before it was traced */
};

enum tt_precision {
	TT_PRECISION_EXACT = 0,
	TT_PRECISION_FIRST_IO = 1,
};

enum tt_role {
	TT_ROLE_UNKNOWN = 0,
	TT_ROLE_ACTIVE = 1,
	TT_ROLE_PASSIVE = 2,
};

/* How an attempt to connect ended. */
enum tt_outcome {
	TT_OUTCOME_UNKNOWN = 0,
	TT_OUTCOME_OK = 1,
	TT_OUTCOME_REFUSED = 2,
	TT_OUTCOME_RESET = 3,
	TT_OUTCOME_TIMEOUT = 4, /* the kernel gave up */
	TT_OUTCOME_GAVE_UP = 5, /* the application closed it, a SYN unanswered for a full RTO */
	TT_OUTCOME_UNREACHABLE = 6,
	TT_OUTCOME_NO_PORT = 7, /* EADDRNOTAVAIL */
	TT_OUTCOME_DENIED = 8,	/* EPERM, EACCES */
	TT_OUTCOME_ABORTED = 9, /* closed before an answer was due */
	TT_OUTCOME_SYN_ACK_TIMEOUT = 10,
	TT_OUTCOME_QUEUE_FULL = 11,
};

enum tt_latency_from {
	TT_FROM_NONE = 0,
	TT_FROM_SYN = 1,
	TT_FROM_SYNACK = 2,
};

enum tt_cause {
	TT_CAUSE_OTHER = 0,
	TT_CAUSE_ACCEPT_QUEUE_FULL = 1,
	TT_CAUSE_SYN_QUEUE_FULL = 2,
	TT_CAUSE_SYN_QUEUE_RESERVE = 3, /* last quarter of tcp_max_syn_backlog, cookies off */
	TT_CAUSE_MEMORY = 4,
	TT_CAUSE_ROUTE = 5,
	TT_CAUSE_LSM = 6,
	TT_CAUSE_MAX = 7,
};

enum tt_stage {
	TT_STAGE_SYN = 1,
	TT_STAGE_ACK = 2,
};

enum tt_answer {
	TT_ANSWER_NONE = 0,
	TT_ANSWER_RST = 1,
	TT_ANSWER_COOKIE = 2, /* not a drop, and only counted */
};

/* Whose FIN came first. */
enum tt_closed_by {
	TT_CLOSED_BY_ABORT = 0, /* there was none */
	TT_CLOSED_BY_LOCAL = 1,
	TT_CLOSED_BY_REMOTE = 2,
	TT_CLOSED_BY_BOTH = 3, /* they crossed */
};

/* How a connection came to its end. */
enum tt_end {
	TT_END_FIN = 0, /* both sides' */
	TT_END_RST_SENT = 1,
	TT_END_RST_RECEIVED = 2,
	TT_END_TIMEOUT = 3,
	TT_END_ABORTED = 4, /* an attempt that its caller, or the network, broke off */
	TT_END_KILLED = 5,  /* `ss -K` */
};

enum tt_reset_way {
	TT_RESET_WAY_SENT = 0,
	TT_RESET_WAY_RECEIVED = 1,
};

/* What a RST came from. */
enum tt_reset_by {
	TT_RESET_BY_UNKNOWN = 0,
	/* our side broke off a connection */
	TT_RESET_BY_APP_CLOSE_UNREAD = 1, /* close() with data that nobody had read */
	TT_RESET_BY_LINGER0 = 2,	  /* close() with SO_LINGER 0 */
	TT_RESET_BY_LINGER2 = 3,	  /* close() with a negative TCP_LINGER2 */
	TT_RESET_BY_DISCONNECT = 4,	  /* connect() to AF_UNSPEC */
	TT_RESET_BY_LISTENER_CLOSED = 5,  /* before it was accepted */
	TT_RESET_BY_KILLED = 6,		  /* `ss -K` */
	TT_RESET_BY_KEEPALIVE = 7,	  /* nobody answered its probes */
	TT_RESET_BY_NO_FIN = 8,		  /* closed long ago, and the peer's FIN never came */
	TT_RESET_BY_KERNEL = 9,		  /* for want of memory, or for what it does not say */
	/* our side answers a packet */
	TT_RESET_BY_DATA_AFTER_CLOSE = 10,
	TT_RESET_BY_NO_SOCKET = 11,  /* nobody listens there */
	TT_RESET_BY_LISTENER = 12,   /* to whom it was no handshake's */
	TT_RESET_BY_TIME_WAIT = 13,  /* to what was closed */
	TT_RESET_BY_BAD_PACKET = 14, /* that does not fit the state of its socket */
	TT_RESET_BY_PEER = 15,
};

/* Which packet a RST answers. */
enum tt_answers {
	TT_ANSWERS_NONE = 0,
	TT_ANSWERS_SYN = 1,
	TT_ANSWERS_SYN_ACK = 2,
	TT_ANSWERS_OTHER = 3,
};

/* Why a segment was sent again; the kernel's counters of the same are in capitals. */
enum tt_resend {
	TT_RESEND_OTHER = 0,
	TT_RESEND_RTO = 1,	  /* its timer ran out */
	TT_RESEND_SLOW_START = 2, /* what follows on that, as ACKs come: TCPSlowStartRetrans */
	TT_RESEND_FAST = 3,	  /* ACKs told that it was lost: TCPFastRetrans */
	TT_RESEND_TLP = 4,	  /* a probe, for want of an ACK: TCPLossProbes */
	TT_RESEND_SYN = 5,	  /* TCPSynRetrans, with the next */
	TT_RESEND_SYNACK = 6,
};

/* What the segment numbers of a struct tt_retransmit count from. */
enum tt_seq_is {
	TT_SEQ_NONE = 0,     /* a SYN, or a SYN-ACK */
	TT_SEQ_RELATIVE = 1, /* the first byte that was ever sent on the connection */
	TT_SEQ_ABSOLUTE = 2, /* nothing: as it is on the wire */
};

/* Whether the ACK that finishes a handshake had come when its SYN-ACK was sent again. */
enum tt_acked {
	TT_ACKED_NO = 0,
	TT_ACKED_QUEUE_FULL = 1, /* and there was no room for the connection */
	TT_ACKED_DEFERRED = 2,	 /* and TCP_DEFER_ACCEPT waited for data */
};

/* Whether a packet had come in by a device, or was on its way out. */
enum tt_direction {
	TT_DIRECTION_RX = 0,
	TT_DIRECTION_TX = 1,
};

/* By what the owner of a dropped packet is known. */
enum tt_owner_from {
	TT_OWNER_FROM_NONE = 0,
	TT_OWNER_FROM_SOCKET = 1,
	TT_OWNER_FROM_LISTENER_PORT = 2,
};

/* Whether a packet that is thrown away was for what remains of a connection, with nothing to lose.
 */
enum tt_spent {
	TT_SPENT_NO = 0,
	TT_SPENT_BY_SOCKET = 1,
	TT_SPENT_BY_FLAGS = 2, /* if it was thrown away where such packets are: no socket is told */
};

/* Instead of a stack's number. */
enum tt_stack_is {
	TT_STACK_NONE = 0,	    /* not asked for, or there is none */
	TT_STACK_LOST = 0x7fffffff, /* another one has its place */
};

enum tt_task_event {
	TT_TASK_SEEN = 1,
	TT_TASK_RENAMED = 2,
	TT_TASK_EXITED = 3,
};

typedef __u8 tt_kind_t;
typedef __u8 tt_owner_is_t;
typedef __u8 tt_tcp_state_t;
typedef __u8 tt_dwell_is_t;
typedef __u8 tt_precision_t;
typedef __u8 tt_task_event_t;
typedef __u8 tt_role_t;
typedef __u8 tt_reset_way_t;
typedef __u8 tt_reset_by_t;
typedef __u8 tt_answers_t;
typedef __u8 tt_closed_by_t;
typedef __u8 tt_end_t;
typedef __u8 tt_outcome_t;
typedef __u8 tt_latency_from_t;
typedef __u8 tt_cause_t;
typedef __u8 tt_stage_t;
typedef __u8 tt_answer_t;
typedef __u8 tt_resend_t;
typedef __u8 tt_seq_is_t;
typedef __u8 tt_acked_t;
typedef __u8 tt_direction_t;
typedef __u8 tt_owner_from_t;
typedef __u8 tt_spent_t;
typedef __u8 tt_family; /* 4 or 6, of the packets */

/* What every record starts with: 80 bytes. */
struct tt_head {
	tt_mono_ns mono_ns;
	tt_cookie cookie;
	tt_cgroup cgroup_id; /* of the owner */
	tt_addr laddr;
	tt_addr raddr;
	tt_port lport;
	tt_port rport;
	tt_netns netns;
	tt_pid pid; /* the owner */
	tt_ticks start;
	tt_pid oncpu_pid;
	tt_kind_t kind;
	tt_owner_is_t owner_is;
	tt_family family;
	__u8 reserved;
};

/* The small record: 96 bytes. */
struct tt_state {
	struct tt_head head;
	tt_ns dwell_ns; /* in `old` */
	tt_tcp_state_t old;
	tt_tcp_state_t new;
	tt_tcp_state_t timewait; /* TIME_WAIT or FIN_WAIT2: what took over at CLOSE */
	tt_dwell_is_t dwell_is;
	tt_uid uid; /* here and below: kept for a recording alone */
};

struct tt_accept {
	struct tt_head head;
	tt_addr listener_addr;
	tt_cookie listener_cookie;
	tt_mono_ns established_ns; /* 0: not seen */
	tt_ns wait_ns;		   /* at least so long if that is 0; 0: not known */
	tt_us handshake_us;
	tt_pid listener_pid;
	tt_ticks listener_start;
	tt_count accept_queue; /* left after this one was taken */
	tt_count accept_queue_max;
	tt_errno error;
	tt_port listener_port;
	tt_family listener_family;
	tt_precision_t precision;
	tt_tcp_state_t state; /* of the socket, as it was taken; of one that failed: LISTEN */
	__u8 reserved[7];
	tt_uid uid;
};

/* An attempt to connect that has ended, well or not. */
struct tt_handshake {
	struct tt_head head;
	tt_cookie listener_cookie; /* passive */
	tt_ns latency_ns;	   /* at least so long if it is from nothing; 0: not known */
	tt_us rtt_us;		   /* 0: not measured */
	tt_count syn_sent;	   /* SYNs, or SYN-ACKs */
	tt_count syn_retransmits;
	tt_errno error;
	tt_role_t role;
	tt_outcome_t outcome;
	tt_latency_from_t latency_from;
	__u8 syncookie;	    /* 1: by a cookie, which keeps no time; 2: not known */
	tt_tcp_state_t old; /* the transition that ended it */
	tt_tcp_state_t new;
	__u8 reserved[6];
	tt_uid uid;
};

/* A SYN, or the ACK that would have finished a handshake, that a listener threw away. */
struct tt_syn_drop {
	struct tt_head head; /* the owner is the listener's */
	tt_addr listener_addr;
	tt_cookie listener_cookie; /* 0: not to be told */
	tt_pid listener_pid;
	tt_ticks listener_start;
	tt_count accept_queue;
	tt_count accept_queue_max;
	tt_count syn_queue;
	tt_count syn_queue_max;
	tt_count count; /* packets that this record stands for */
	tt_port listener_port;
	tt_family listener_family;
	tt_cause_t cause;
	tt_stage_t stage;
	tt_answer_t answer;
	__u8 reserved[2];
	tt_uid uid; /* the listener's */
};

/*
 * A connection, or an attempt at one, that has come to CLOSE. Its life is counted from
 * ESTABLISHED on, that of an attempt from its first SYN.
 */
struct tt_connection {
	struct tt_head head;
	tt_cookie listener_cookie; /* passive */
	tt_ns life_ns;
	tt_ns closing_ns[2]; /* in FIN_WAIT1 or CLOSE_WAIT, then in what came after that */
	tt_ns busy_ns;
	tt_ns rwnd_limited_ns;
	tt_ns sndbuf_limited_ns;
	tt_bytes tx_bytes;
	tt_bytes rx_bytes;
	tt_bytes retransmit_bytes;
	tt_us syn_sent_us; /* in SYN_SENT; here and below the largest stands for more */
	tt_us syn_recv_us;
	tt_us handshake_us;   /* 0: not known */
	tt_us accept_wait_us; /* likewise */
	tt_count segs_out;
	tt_count segs_in;
	tt_count retransmits;
	tt_us srtt_us;	  /* 0: not measured */
	tt_us min_rtt_us; /* likewise */
	tt_count cwnd;
	tt_count mss;
	tt_count recv_queue;	 /* came and were never read */
	tt_count send_queue;	 /* written and never acknowledged */
	__u32 keepalive_idle_ms; /* 0: off */
	__u32 keepalive_interval_ms;
	tt_errno error;
	tt_uid uid;
	tt_congestion congestion;
	__u16 visited; /* bit per enum tt_tcp_state: entered and left while it was traced */
	__u8 keepalive_probes;
	tt_dwell_is_t life_is;
	tt_role_t role;
	tt_closed_by_t closed_by;
	tt_end_t end;
	tt_tcp_state_t old; /* what it went to CLOSE from */
};

#define TT_NO_REASON 0xffffffff /* this kernel gives none, or the RST came from the peer */

/* A RST that was sent, or one that ended a connection here; spans since are good to a tick. */
struct tt_reset {
	struct tt_head head;
	tt_cookie listener_cookie; /* passive */
	tt_ns life_ns; /* of the connection or the attempt; 0: there is none, or not known */
	tt_ns last_received_ns; /* since data was, with TT_OPEN_RECEIVED */
	tt_ns last_sent_ns;	/* since data was, with TT_OPEN_SENT */
	tt_ns last_ack_ns;	/* since any was received; 0: none */
	tt_bytes tx_bytes;
	tt_bytes rx_bytes;
	tt_count recv_queue; /* came and were never read */
	tt_count send_queue; /* written and never acknowledged */
	tt_rst_reason reason;
	tt_errno error; /* what the application gets */
	tt_uid uid;
	tt_tcp_state_t state; /* before it; 0: there was no socket */
	tt_reset_way_t way;
	tt_reset_by_t by;
	tt_answers_t answers;
	tt_dwell_is_t life_is;
	__u8 flags; /* TT_OPEN_ bits */
	__u8 reserved[6];
};

/* An error that a socket's application is told of. */
struct tt_error {
	struct tt_head head;
	tt_errno error;
	tt_uid uid;
	tt_tcp_state_t state; /* before it */
	__u8 ended;	      /* the socket came to CLOSE with it */
	__u8 reserved[6];
};

/* A segment, or several at once, that was sent again. */
struct tt_retransmit {
	struct tt_head head; /* of a SYN-ACK the owner is the listener's */
	tt_cookie listener_cookie;
	tt_bytes seq;	   /* see seq_is */
	tt_bytes length;   /* payload */
	tt_count segments; /* as the kernel counts them in RetransSegs */
	tt_count nth;	   /* how often this was sent again by now */
	tt_us rto_us;	   /* 0: not known */
	tt_us srtt_us;	   /* 0: not measured */
	tt_count cwnd;
	tt_uid uid;
	tt_resend_t type;
	tt_tcp_state_t state;
	tt_seq_is_t seq_is;
	tt_acked_t acked;
	__u8 lost_again; /* what was sent again before was given up as lost: TCPLostRetransmit */
	__u8 reserved[3];
};

#define TT_HEADERS 112 /* IPv6 and the longest TCP, and nearly all that IPv4 has */

/* A packet of TCP that the kernel threw away. */
struct tt_drop {
	struct tt_head head;
	tt_code location; /* in the function that let go of it */
	tt_reason reason; /* 0: this kernel gives none */
	tt_count length;  /* from the IP header on */
	__u32 ifindex;	  /* 0: not known */
	tt_uid uid;	  /* of the socket, or the listener */
	__u16 queue;	  /* of the device that it came by, from 1; 0: not known */
	__u16 cpu;
	tt_direction_t direction;
	tt_owner_from_t owner_from;
	tt_tcp_state_t state; /* of its socket, 0: none is known */
	__u8 tcp_flags;
	__u8 told; /* as a syn_drop too */
	__u8 headers_length;
	tt_spent_t spent;
	__u8 reserved[5];
	tt_stack_id stack;	/* the kernel's */
	tt_stack_id user_stack; /* its owner's, if that ran */
	tt_dev dev;
	__u8 headers[TT_HEADERS]; /* the packet's own: IP, then TCP */
};

struct tt_task {
	struct tt_head head;
	tt_comm comm;
	tt_local_pid local_pid;
	tt_local_pid local_ppid;
	tt_task_event_t event;
	__u8 reserved[7];
};

/* The large record: as long as its longest member. */
struct tt_large {
	union {
		struct tt_accept accept;
		struct tt_handshake handshake;
		struct tt_syn_drop syn_drop;
		struct tt_connection connection;
		struct tt_reset reset;
		struct tt_error error;
		struct tt_retransmit retransmit;
		struct tt_drop drop;
		struct tt_task task;
	};
};

/* --- rows of the iterators (read(2), not a buffer) ---------------------- */

/* iter/task: one process */
struct tt_task_row {
	tt_cgroup cgroup_id;
	tt_pid pid;
	tt_pid ppid;
	tt_ticks start;
	tt_local_pid local_pid;
	tt_local_pid local_ppid;
	__u8 ended; /* its last thread is gone; it may still be waited for */
	__u8 told;  /* its new names and its end are told of: it has, or had, a socket */
	__u8 reserved[2];
	tt_comm comm;
};

/* iter/task_file: one descriptor of a listening socket, for a snapshot of any */
struct tt_holder_row {
	tt_cookie cookie;
	tt_cgroup cgroup_id;
	tt_addr laddr;
	tt_pid pid;
	tt_ticks start;
	tt_netns netns;
	tt_port lport;
	tt_family family;
	tt_tcp_state_t state;
	__u32 fd;
	tt_marks marks;
	__u8 reserved[3];
};

/* iter/tcp: one socket, mini-sockets too */
struct tt_sock_row {
	tt_cookie cookie;
	tt_cgroup cgroup_id;
	tt_addr laddr;
	tt_addr raddr;
	tt_port lport;
	tt_port rport;
	tt_netns netns;
	tt_pid pid;
	tt_ticks start;
	tt_ns age_ns; /* in this state */
	tt_tcp_state_t state;
	tt_owner_is_t owner_is;
	tt_family family;
	tt_dwell_is_t age_is;
	tt_cookie listener_cookie;
	tt_ns waiting_ns;	  /* finished, and not accepted for so long; 0: not waiting */
	__u32 matched;		  /* by the filters of this session */
	tt_count syn_retransmits; /* of an attempt that goes on */
	tt_uid uid;
	tt_low_us looked_us; /* when it was looked at */
};

/* what else there is to say of a struct tt_open_row */
#define TT_OPEN_FULL 1	 /* no mini-socket: it has been measured */
#define TT_OPEN_TAKEN 2	 /* a descriptor was made for it, by connect()'s caller or accept() */
#define TT_OPEN_ORPHAN 4 /* and its last one was closed */
#define TT_OPEN_SENT 8	 /* data */
#define TT_OPEN_RECEIVED 16
#define TT_OPEN_RCVBUF_SET 32 /* by SO_RCVBUF: the kernel sizes it no more */

/* iter/tcp: one socket with what the kernel keeps of it; spans are good to a tick of the kernel's
 */
struct tt_open_row {
	struct tt_head head; /* mono_ns: when it was looked at */
	tt_cookie listener_cookie;
	tt_ns age_ns;	    /* in this state; 0: not known */
	tt_ns life_ns;	    /* since ESTABLISHED, of an attempt since its first SYN; 0: not known */
	tt_ns last_sent_ns; /* since data was, with TT_OPEN_SENT */
	tt_ns last_received_ns;	 /* likewise */
	tt_ns last_ack_ns;	 /* since any was received; 0: none */
	tt_ns busy_ns;		 /* with data to send, */
	tt_ns rwnd_limited_ns;	 /* of that held up by the peer's window, */
	tt_ns sndbuf_limited_ns; /* by its own send buffer */
	tt_bytes tx_bytes;	 /* sent, once or more often */
	tt_bytes rx_bytes;
	tt_bytes retransmit_bytes;
	__u64 inode;
	tt_congestion congestion;
	tt_count recv_queue; /* bytes that came and were not read */
	tt_count send_queue; /* bytes written that were not acknowledged */
	tt_count segs_out;
	tt_count segs_in;
	tt_count retransmits; /* of an attempt its SYNs, or SYN-ACKs */
	tt_us srtt_us;	      /* 0: not measured */
	tt_us min_rtt_us;     /* likewise */
	tt_count cwnd;
	tt_count mss;
	tt_uid uid;
	__u32 keepalive_idle_ms; /* 0: off */
	__u32 keepalive_interval_ms;
	__u32 fd; /* of its owner, if `holders`; both are found in user space */
	tt_count holders;
	tt_count rcv_window; /* bytes that the peer was told it may send */
	tt_count rcvbuf;     /* bytes of memory that may lie unread */
	__u32 matched;	     /* by the filters of this session */
	__u8 keepalive_probes;
	tt_tcp_state_t state;
	tt_dwell_is_t age_is;
	tt_dwell_is_t life_is;
	tt_role_t role;
	__u8 flags; /* TT_OPEN_ bits */
	__u8 reserved[6];
};

/* iter/tcp: one listening socket, and one that has closed since the last look */
struct tt_listener_row {
	tt_cookie cookie;
	tt_cgroup cgroup_id; /* of the owner */
	tt_addr addr;
	tt_pid pid; /* the owner */
	tt_ticks start;
	tt_netns netns;
	tt_port port;
	tt_family family;
	__u8 matched; /* by the filters of this session */
	tt_count accept_queue;
	tt_count accept_queue_max;
	tt_count syn_queue;
	tt_count syn_queue_max;
	tt_count accept_queue_peak;
	tt_count syn_queue_peak;
	__u64 finished; /* handshakes, put into its accept queue */
	__u64 accepts;
	__u64 reset_in_queue;
	__u64 never_accepted; /* waited when it closed */
	__u64 overflows;
	__u64 cookies_sent;
	__u64 drops[TT_CAUSE_MAX];
	tt_ns full_ns;		  /* with more than its accept queue's limit waiting */
	tt_ns oldest_ns;	  /* how long the first of its accept queue waits, 0: none */
	tt_mono_ns opened_ns;	  /* 0: before tracing */
	tt_mono_ns closed_ns;	  /* 0: it listens */
	tt_mono_ns looked_ns;	  /* full_ns is up to here */
	tt_count somaxconn;	  /* of its namespace */
	tt_count max_syn_backlog; /* likewise */
	__u8 syncookies;	  /* likewise */
	__u8 reuseport;
	__u8 defer_accept; /* seconds */
	__u8 fastopen;
	tt_uid uid;
	tt_dwell_is_t oldest_is;
	__u8 reserved[7];
};

/* --- counters (map reads) ------------------------------------------------ */

#define TT_STATES 13

/* What an owner is asked for as. */
enum tt_mark {
	TT_MARK_PID = 1,
	TT_MARK_COMM = 2,
	TT_MARK_CGROUP = 4,
	TT_MARK_WANTED =
		7, /* all of them: one of whom nothing is known, and who may be asked for */
	TT_MARK_NOT_PID = 8,
	TT_MARK_NOT_COMM = 16,
	TT_MARK_NOT_CGROUP = 32,
};

enum tt_filter {
	TT_FILTER_NONE = 0,
	TT_FILTER_KIND = 1,
	TT_FILTER_FAMILY = 2,
	TT_FILTER_NETNS = 3,
	TT_FILTER_PORT = 4,
	TT_FILTER_LPORT = 5,
	TT_FILTER_RPORT = 6,
	TT_FILTER_ADDR = 7,
	TT_FILTER_STATE = 8,
	TT_FILTER_PID = 9,
	TT_FILTER_LADDR = 10,
	TT_FILTER_RADDR = 11,
	TT_FILTER_UID = 12,
	TT_FILTER_EXCLUDE = 13,
	TT_FILTER_COMM = 14,
	TT_FILTER_CGROUP = 15,
	TT_FILTER_FAILED = 16,
	TT_FILTER_SLOWER = 17,
	TT_FILTER_MAX = 18,
};

/*
 * Who counts: one program's increment may be broken into by another's on the
 * same CPU, so each kind of program has a slot of its own.
 */
enum tt_slot {
	TT_SLOT_STATE = 0,
	TT_SLOT_NESTED = 1,
	TT_SLOT_PROCESS = 2, /* programs that run in process context alone */
	TT_SLOT_DROP = 3,    /* programs that run where packets are thrown away */
	TT_SLOT_TIMER = 4,   /* programs that run where a timer ends, or in a softirq alone */
	TT_SLOT_RESET_SENT = 5,
	TT_SLOT_RESET_RECEIVED = 6,
	TT_SLOT_ERROR = 7,
	TT_SLOT_RESEND = 8, /* the program that runs where a segment is sent again */
	TT_SLOT_PACKET = 9, /* the program that runs where any packet is thrown away */
	TT_SLOT_MAX = 10,
};

/* The counters of a namespace that tell of thrown away SYNs: LINUX_MIB_ of the kernel's names. */
enum tt_mib {
	TT_MIB_LISTENDROPS = 0,
	TT_MIB_LISTENOVERFLOWS = 1,
	TT_MIB_TCPREQQFULLDROP = 2,
	TT_MIB_TCPREQQFULLDOCOOKIES = 3,
	TT_MIB_SYNCOOKIESSENT = 4,
	TT_MIB_EMBRYONICRSTS = 5,
	TT_MIB_OUTNOROUTES = 6, /* IPSTATS_MIB_, of both families */
	TT_MIB_MAX = 7,
};

/* One per slot and CPU. */
struct tt_stats {
	__u64 seen[TT_KIND_MAX];	/* before filters */
	__u64 matched[TT_KIND_MAX];	/* after filters */
	__u64 refused[TT_FILTER_MAX];	/* by the first filter that refuses */
	__u64 lost_buffer[TT_KIND_MAX]; /* the buffer had no room */
	__u64 lost_map[TT_KIND_MAX];	/* no room to keep the socket's state */
	__u64 limited[TT_KIND_MAX];	/* counted, and not sent: too many a second */
	/* what was matched: [old][new], and those that a mini-socket took over */
	__u64 transitions[TT_STATES][TT_STATES];
	__u64 timewait[2];    /* as TIME_WAIT, as FIN_WAIT2 */
	__u64 nested;	      /* taken up by the second state program, as the first was skipped */
	__u64 accepts_failed; /* of matched[TT_KIND_ACCEPT], those that took nothing */
};

/* Transitions by owner, with a dwell histogram of 8 buckets per power of two. */
struct tt_count_key {
	tt_pid pid;
	tt_ticks start;
	tt_tcp_state_t old;
	tt_tcp_state_t new;
	tt_tcp_state_t timewait;
	tt_dwell_is_t dwell_is;
	__u16 bucket;
	tt_owner_is_t owner_is;
	__u8 slot; /* enum tt_slot, times 2, plus the turn */
};

struct tt_count_value {
	__u64 count;
	tt_ns sum_ns;
	tt_ns min_ns;
	tt_ns max_ns;
};

/* What listeners threw away: exact, whatever is sent. */
struct tt_drop_key {
	tt_cookie listener_cookie; /* 0: not to be told */
	tt_netns netns;
	tt_port port;
	tt_cause_t cause;
	tt_stage_t stage;
	tt_answer_t answer;
	__u8 matched; /* by the filters of this session */
	__u8 reserved[6];
};

struct tt_drop_value {
	__u64 packets;
	__u64 wanted_cookies; /* TCPReqQFullDoCookies moved so far with them */
	tt_cgroup cgroup_id;  /* of the listener's owner */
	tt_pid pid;
	tt_ticks start;
};

/* Packets that were thrown away: exact, whatever is sent. */
struct tt_packet_key {
	tt_code location;
	tt_reason reason;
	tt_netns netns;
	__u32 ifindex;
	tt_pid pid; /* the owner, 0: none is known */
	tt_ticks start;
	tt_port port; /* the local one */
	tt_direction_t direction;
	tt_owner_is_t owner_is;
	tt_owner_from_t owner_from;
	__u8 syn;     /* with SYN, and without ACK, but for what remains of a connection */
	__u8 told;    /* as a syn_drop too */
	__u8 matched; /* by the filters of this session: others take no place */
	tt_spent_t spent;
	__u8 reserved[3];
	tt_stack_id stack;
};

struct tt_packet_value {
	__u64 packets;
	tt_cgroup cgroup_id; /* of the owner */
	tt_dev dev;
};

/* RSTs by what they came from, whose they were and to whom, or from whom: exact, whatever is sent.
 */
struct tt_reset_key {
	tt_addr raddr;
	tt_netns netns;
	tt_pid pid; /* the owner, 0: none is known */
	tt_ticks start;
	tt_rst_reason reason;
	tt_errno error;
	tt_tcp_state_t state;
	tt_reset_way_t way;
	tt_reset_by_t by;
	tt_answers_t answers;
	tt_owner_is_t owner_is;
	tt_family family; /* 0: there was no room to keep its peer and its owner apart */
	__u8 reserved[2];
};

struct tt_reset_value {
	__u64 resets;
};

#endif
