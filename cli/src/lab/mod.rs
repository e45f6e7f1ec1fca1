//! The lab: a proving ground in one folder.

mod ask;
mod fill;
mod folder;
mod repos;
mod seed;
mod shape;
mod tool;
