//! UDP sockets and the ways to move packets through them.
