/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The state probe for BCC, which follows the kernel's pointers from the context on. */
#include "probes/state.bpf.c"

ENTRY(tt_state, ctx->args[1], ctx->args[2])
ENTRY(tt_state_nested, ctx->args[1], ctx->args[2])
ENTRY(tt_destroy)
