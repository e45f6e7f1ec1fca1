//! Reading without a trace.
