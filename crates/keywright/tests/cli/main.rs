//! The command line as people use it: real processes, a real server, both databases.

mod cluster;
mod configuration;
mod doctor;
mod examples;
mod first_service_key;
mod open_files;
mod refusals;
mod serve;
mod support;
mod terminal;
mod token;
mod usage;
mod walk;
