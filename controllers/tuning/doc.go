// Package tuning is the controller that changes a workload: it merges what the links of all policies on it demand, tries
// the values in pods of its own, brings them into the workload's pods, says what was read back, and takes them away again.
//
// One reconcile is of one ConnectionTuning, and so of one workload. It gathers a State, decides on it without touching
// anything, and acts on the Decision. All that it remembers stands in the ConnectionTuning, so that a new leader goes on
// where the old one stopped.
package tuning
