//! The `llmprove` command.

mod cli;

fn main() -> std::process::ExitCode {
    llmprove::heap::keep_freed();
    cli::main()
}
