//! The smallest program that `delivery::fetch::Fetch` can start; tests use it in place of `pulse fetch`.

fn main() -> std::process::ExitCode {
    delivery::fetch::run()
}
