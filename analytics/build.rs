//! The migrations are built in: a new one is to be seen.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
