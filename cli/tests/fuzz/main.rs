//! Nothing that anybody writes makes the program panic, hang or read something else than is there.
//!
//! Real sources and records, torn and stirred. `PROPTEST_CASES` says how many cases a property gets;
//! hours of them are as easy as seconds. A find is kept as a case of its own in a test beside it.

mod plans;
mod records;
mod stir;
