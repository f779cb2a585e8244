/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Control groups that are made while --cgroup asks for some: what is made below one
 * that is asked for is asked for, before any process can be in it, as it is told of
 * before it can be seen; and so is one made where one was, as of a unit started again.
 *
 * Attach: tp_btf, with --cgroup alone.
 */
#include "../emit.h"
#include "../marks.h"

/* Other hierarchies give out ids of their own. */
tt_inline bool tt_is_unified(const struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == 0;
}

PROBE_BTF("cgroup_mkdir")
int BPF_PROG(tt_cgroup_made, struct cgroup *cgroup, const char *path)
{
	tt_cgroup id, above = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_cgroup_path *key;
	tt_marks *found, marks = 0;
	__u32 zero = 0;

	if (!tt_is_unified(cgroup) || !stats)
		return 0;
	found = MAP_GET(tt_cgroups, &above);
	if (found)
		marks = *found;
	key = MAP_GET(tt_new_cgroup, &zero);
	if (key) {
		__builtin_memset(key, 0, sizeof(*key));
		bpf_probe_read_kernel_str(key->text, sizeof(key->text), path);
		found = MAP_GET(tt_cgroup_paths, key);
		if (found)
			marks |= *found;
	}
	id = BPF_CORE_READ(cgroup, kn, id);
	if (marks)
		tt_count_unmarked(stats, MAP_PUT(tt_cgroups, &id, &marks, BPF_ANY));
	return 0;
}

PROBE_BTF("cgroup_rmdir")
int BPF_PROG(tt_cgroup_gone, struct cgroup *cgroup, const char *path)
{
	tt_cgroup id = BPF_CORE_READ(cgroup, kn, id);

	if (tt_is_unified(cgroup))
		MAP_DEL(tt_cgroups, &id);
	return 0;
}
