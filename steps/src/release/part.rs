//! A part of a release as the parameters `release`, `namespace` and `part` name it.

use workplan_engine::kind::{ParamSpec, ParamType, With};
use workplan_platform::{PartRef, ReleaseRef};

/// The release.
pub(crate) const RELEASE: ParamSpec =
    ParamSpec { name: "release", ty: ParamType::String, required: true, doc: "The release." };
/// Its namespace.
pub(crate) const NAMESPACE: ParamSpec =
    ParamSpec { name: "namespace", ty: ParamType::String, required: true, doc: "Its namespace." };

/// Reads the three; without `part`, the whole release is meant.
pub(crate) fn part(with: &With) -> PartRef {
    let text = |key: &str| with.str(key).unwrap_or_default().to_owned();
    PartRef {
        release: ReleaseRef { namespace: text("namespace"), name: text("release") },
        part: with.str("part").map(str::to_owned),
    }
}
