//! Any bytes on a connection: nothing panics, overflows the stack or grows without bound.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    simple_dist_broker::fuzzing::connection(bytes);
});
