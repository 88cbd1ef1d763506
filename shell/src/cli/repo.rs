//! `pulse repo`: repositories of remotes.

use clap::{Args, Subcommand};

use super::Exit;

mod owner;
mod trusted;

pub(super) const EXAMPLES: &str = "Examples:
  pulse repo add https://plugins.example.org --root sha256:4f1c...
  pulse repo list
  pulse repo mirror https://plugins.example.org /media/stick/plugins
  pulse repo init site --keys KEYS --threshold 2
  pulse repo check site                    state, expiry and faults
  pulse repo refresh site --expires 14d --key env:PULSE_ONLINE_KEY
  pulse repo publisher add site team --remotes remoteClock --generate team.pem \\
      --key KEYS/targets.pem --key KEYS/online.pem
  pulse repo rotate site online --generate online-2.pem \\
      --key KEYS/root-1.pem --key KEYS/root-2.pem

Exit status:
  0 when it is done
  1 when it cannot be
  2 for a wrong command line
  4 for a key or a file of the repository that is refused
  6 when there is no such repository or publisher";

#[derive(Args)]
pub(super) struct RepoArgs {
    #[command(subcommand)]
    command: RepoCommand,
}

#[derive(Subcommand)]
enum RepoCommand {
    /// Make a repository, and its keys.
    #[command(after_help = owner::INIT_EXAMPLES)]
    Init(owner::InitArgs),
    /// Verify a repository, and show who signs it and when that expires.
    #[command(after_help = owner::CHECK_EXAMPLES)]
    Check(owner::CheckArgs),
    /// Renew metadata before it expires, and make visible what waits for the online key.
    #[command(after_help = owner::REFRESH_EXAMPLES)]
    Refresh(owner::RefreshArgs),
    /// Add or remove a publisher.
    #[command(after_help = owner::PUBLISHER_EXAMPLES)]
    Publisher {
        #[command(subcommand)]
        command: owner::PublisherCommand,
    },
    /// Replace the keys of a role.
    #[command(after_help = owner::ROTATE_EXAMPLES)]
    Rotate(owner::RotateArgs),
    /// Trust a repository, by the fingerprint of its root.
    #[command(after_help = trusted::EXAMPLES)]
    Add(trusted::AddArgs),
    /// List the trusted repositories.
    #[command(after_help = trusted::EXAMPLES)]
    List(trusted::ListRepositoriesArgs),
    /// Trust a repository no longer.
    #[command(after_help = trusted::EXAMPLES)]
    Remove(trusted::RemoveArgs),
    /// Copy a trusted repository to a folder, which is a repository too.
    #[command(after_help = trusted::EXAMPLES)]
    Mirror(trusted::MirrorArgs),
}

pub(super) fn run(args: RepoArgs) -> Result<u8, Exit> {
    match args.command {
        RepoCommand::Init(args) => owner::init(args),
        RepoCommand::Check(args) => owner::check(&args),
        RepoCommand::Refresh(args) => owner::refresh(&args),
        RepoCommand::Publisher { command } => owner::publisher(&command),
        RepoCommand::Rotate(args) => owner::rotate(&args),
        RepoCommand::Add(args) => trusted::add(args),
        RepoCommand::List(args) => trusted::list(args),
        RepoCommand::Remove(args) => trusted::remove(args),
        RepoCommand::Mirror(args) => trusted::mirror(args),
    }
}
