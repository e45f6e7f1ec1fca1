//! `ha.failover`: a fault on purpose, with a writer that goes on all the time.
//!
//! What is measured and how follows what operators of such clusters ask for: recovery time and
//! rows that were acknowledged and then lost, what clients saw, how many nodes took writes at any
//! moment, and when full redundancy was back.

mod course;
mod criteria;
mod kind;
mod ledger;
mod place;
mod probe;
mod report;
mod step;
mod subject;

pub use kind::HaFailover;
