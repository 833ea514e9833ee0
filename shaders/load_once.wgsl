
// How a workgroup loads what all its invocations read at one address: the first of each subgroup, and the others get it from
// there. Pays where equal addresses cost one access each, as in software drivers.

fn leads() -> bool {
    return subgroupBroadcastFirst(lane) == lane;
}

fn from_leader(x: vec4f) -> vec4f {
    return subgroupBroadcastFirst(x);
}
