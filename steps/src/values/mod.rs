//! Files of values.

mod edit;
mod path;
mod scalar;
