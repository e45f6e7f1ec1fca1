//! The lab: a proving ground in one folder.

mod ask;
mod digest;
mod fill;
mod folder;
mod repos;
mod seed;
mod shape;
mod tool;
