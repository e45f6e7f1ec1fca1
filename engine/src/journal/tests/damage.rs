//! Kills, flipped bits, missing pieces, full disks: never a wrong content believed.
