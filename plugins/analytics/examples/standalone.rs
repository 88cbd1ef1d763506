//! The dashboard alone in a window: `cargo run -p pulse-analytics --example standalone`.

fn main() -> std::process::ExitCode {
    pulse::app::standalone::main(pulse_analytics::remote_entry())
}
