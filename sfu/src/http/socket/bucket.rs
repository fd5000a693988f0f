//! The limit of one socket's messages.

pub(super) use crate::bucket::Bucket;
