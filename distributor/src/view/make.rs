//! From the ledger to a view.
