/* SPDX-License-Identifier: MIT */
/* The topology as hwloc sees it. */
#include "platforms/host/topology.h"

#include <stdlib.h>

#include "jb_config.h"

#if JB_HAVE_HWLOC
#include <hwloc.h>

/* Number of the unit's ancestor of a kind; 0 where there is none. */
static uint32_t ancestor(hwloc_topology_t machine, hwloc_obj_type_t type, hwloc_obj_t pu)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(machine, type, pu);
    return object != NULL ? object->logical_index : 0;
}

static void read_unit(hwloc_topology_t machine, hwloc_obj_t pu, struct jb_topo_pu *ret_pu)
{
    *ret_pu = (struct jb_topo_pu){
        .os = pu->os_index,
        .package = ancestor(machine, HWLOC_OBJ_PACKAGE, pu),
        .l3 = ancestor(machine, HWLOC_OBJ_L3CACHE, pu),
        .core = hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_CORE, pu) != NULL
                    ? ancestor(machine, HWLOC_OBJ_CORE, pu)
                    : pu->logical_index,
        .is_allowed = true,
    };
    /* Memory hangs beside the tree; the first node that holds the unit is its local one. */
    for (hwloc_obj_t node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, NULL);
         node != NULL; node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)) {
        if (hwloc_bitmap_isset(node->cpuset, pu->os_index)) {
            ret_pu->numa = node->logical_index;
            break;
        }
    }
    const int kind = hwloc_cpukinds_get_by_cpuset(machine, pu->cpuset, 0);
    int efficiency = -1;
    if (kind >= 0 &&
        hwloc_cpukinds_get_info(machine, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) == 0 &&
        efficiency > 0) {
        ret_pu->speed = (uint32_t)efficiency;
    }
}

/* Bytes of the first unit's cache of a kind; 0 where there is none. */
static uint64_t cache_bytes(hwloc_topology_t machine, hwloc_obj_type_t type, hwloc_obj_t pu)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(machine, type, pu);
    return object != NULL ? object->attr->cache.size : 0;
}

static enum jb_status read_all(hwloc_topology_t machine, struct jb_topology *ret_topology)
{
    const int n = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PU);
    if (n <= 0) {
        return jb_fail(JB_E_NODEV, "hwloc finds no processing unit");
    }
    struct jb_topology topology = {.pus = calloc((size_t)n, sizeof *topology.pus),
                                   .n_pus = (uint32_t)n};
    if (topology.pus == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the topology");
    }
    for (uint32_t i = 0; i < topology.n_pus; i++) {
        read_unit(machine, hwloc_get_obj_by_type(machine, HWLOC_OBJ_PU, i), &topology.pus[i]);
    }
    hwloc_obj_t first = hwloc_get_obj_by_type(machine, HWLOC_OBJ_PU, 0);
    topology.l1d_bytes = cache_bytes(machine, HWLOC_OBJ_L1CACHE, first);
    topology.l2_bytes = cache_bytes(machine, HWLOC_OBJ_L2CACHE, first);
    topology.l3_bytes = cache_bytes(machine, HWLOC_OBJ_L3CACHE, first);
    jb_topology_count(&topology);
    *ret_topology = topology;
    return JB_OK;
}

enum jb_status jb_topology_hwloc(struct jb_topology *ret_topology)
{
    hwloc_topology_t machine;
    if (hwloc_topology_init(&machine) != 0) {
        return jb_fail(JB_E_NOMEM, "hwloc cannot start");
    }
    const enum jb_status status = hwloc_topology_load(machine) == 0
                                      ? read_all(machine, ret_topology)
                                      : jb_fail(JB_E_NODEV, "hwloc cannot read the topology");
    hwloc_topology_destroy(machine);
    return status;
}

#else

enum jb_status jb_topology_hwloc(struct jb_topology *ret_topology)
{
    (void)ret_topology;
    return jb_fail(JB_E_NODEV, "built without hwloc");
}

#endif
