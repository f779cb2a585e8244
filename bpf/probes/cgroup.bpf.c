/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Control groups that are made while it is traced. What one is called is kept, as it
 * may be gone before anybody can look. While --cgroup asks for some, what is made below
 * one that is asked for is asked for, before any process can be in it, as it is told of
 * before it can be seen; and so is one made where one was, as of a unit started again.
 *
 * The kernel makes and removes them one at a time (cgroup_mutex).
 *
 * Attach: tp_btf; the second and third with --cgroup alone.
 */
#include "../emit.h"
#include "../marks.h"

/* Other hierarchies give out ids of their own. */
tt_inline bool tt_is_unified(const struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == 0;
}

tt_inline tt_cgroup tt_cgroup_above(const struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
}

PROBE_BTF("cgroup_mkdir")
int BPF_PROG(tt_cgroup_named, struct cgroup *cgroup, const char *path)
{
	__u32 at = tt_control.cgroups_made % TT_MADE_CGROUPS;
	struct tt_made_cgroup *made = MAP_GET(tt_made_cgroups, &at);

	if (!made || !tt_is_unified(cgroup))
		return 0;
	made->id = 0; /* nobody's, while the rest is written */
	made->above = tt_cgroup_above(cgroup);
	bpf_probe_read_kernel_str(made->name, sizeof(made->name), BPF_CORE_READ(cgroup, kn, name));
	made->id = BPF_CORE_READ(cgroup, kn, id);
	tt_control.cgroups_made++;
	return 0;
}

/* What is asked for at the place where it is made, if that is known: it has that place now. */
tt_inline tt_marks tt_take_place(const struct cgroup *cgroup, tt_cgroup id, tt_cgroup above,
				 struct tt_stats *stats)
{
	const tt_cgroup *place = MAP_GET(tt_cgroup_places, &above);
	struct tt_cgroup_place *taken;
	struct tt_cgroup_step *step;
	__u32 zero = 0;
	long length;

	step = MAP_GET(tt_new_step, &zero);
	if (!place || !step)
		return 0;
	__builtin_memset(step, 0, sizeof(*step));
	step->above = *place;
	length = bpf_probe_read_kernel_str(step->name, sizeof(step->name),
					   BPF_CORE_READ(cgroup, kn, name));
	taken = length < (long)sizeof(step->name) ? MAP_GET(tt_cgroup_steps, step) : NULL;
	if (!taken)
		return 0;
	tt_count_unmarked(stats, MAP_PUT(tt_cgroup_places, &id, &taken->place, BPF_ANY));
	return taken->marks;
}

PROBE_BTF("cgroup_mkdir")
int BPF_PROG(tt_cgroup_made, struct cgroup *cgroup, const char *path)
{
	tt_cgroup id = BPF_CORE_READ(cgroup, kn, id), above = tt_cgroup_above(cgroup);
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	tt_marks *found, marks;

	if (!tt_is_unified(cgroup) || !stats)
		return 0;
	found = MAP_GET(tt_cgroups, &above);
	marks = tt_take_place(cgroup, id, above, stats) | (found ? *found : 0);
	if (marks)
		tt_count_unmarked(stats, MAP_PUT(tt_cgroups, &id, &marks, BPF_ANY));
	return 0;
}

PROBE_BTF("cgroup_rmdir")
int BPF_PROG(tt_cgroup_gone, struct cgroup *cgroup, const char *path)
{
	tt_cgroup id = BPF_CORE_READ(cgroup, kn, id);

	if (!tt_is_unified(cgroup))
		return 0;
	MAP_DEL(tt_cgroups, &id);
	MAP_DEL(tt_cgroup_places, &id);
	return 0;
}
