//! The lab: a proving ground in one folder.

mod ask;
mod fill;
mod seed;
mod shape;
