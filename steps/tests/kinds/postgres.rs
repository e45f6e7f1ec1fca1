//! `postgres.*` beyond the contract.

mod role;
