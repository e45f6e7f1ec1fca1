//! What a chart becomes on this machine.

pub(crate) mod postgresql_ha;
