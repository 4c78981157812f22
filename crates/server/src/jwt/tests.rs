//! Tokens and their keys.
