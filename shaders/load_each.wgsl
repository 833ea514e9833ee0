
// How a workgroup loads what all its invocations read at one address: each invocation for itself. Hardware that serves equal
// addresses by one access does this at no cost.

fn leads() -> bool {
    return true;
}

fn from_leader(x: vec4f) -> vec4f {
    return x;
}
