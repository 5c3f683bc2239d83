// Package v1alpha1 holds the three kinds of connpolicy: ConnectionPolicy, which a user writes; ConnectionReport, which
// says what was seen; ConnectionTuning, which says what is changed. Only the operator writes the last two.
//
// +kubebuilder:object:generate=true
// +groupName=connpolicy.dev
package v1alpha1
