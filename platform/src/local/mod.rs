//! Releases as real servers on this machine.

pub mod ingress;
#[expect(dead_code, reason = "the recipes are joined with the store next")]
pub(crate) mod recipe;

/// What this program does as a service of this platform that is no other program. Returns its exit
/// code.
#[must_use]
pub fn service(args: &[String]) -> i32 {
    match args.split_first() {
        Some((name, rest)) if name == ingress::NAME => ingress::run(rest),
        _ => 2,
    }
}
