//! The lab: a proving ground in one folder.
//!
//! - `shape`: what a lab is made of, from `seed` and size alone
//! - `folder`: what makes a folder a lab, and where things are in it
//! - `repos`: the five repositories of the old world
//! - `fill`: filling Gitea
//! - `up`, `down`, `status`: the commands; `ask`: how they look and act, through the engine
//! - `digest`: one digest over all of it

mod ask;
mod digest;
mod down;
mod fill;
mod folder;
mod old;
mod repos;
mod seed;
mod shape;
mod show;
mod status;
mod tool;
mod up;

pub(crate) use down::down;
pub(crate) use show::digest;
pub(crate) use status::{LabStatusDocument, status};
pub(crate) use up::up;

pub(crate) use digest::DigestDocument;
