package userrules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Doubts says what in an expression that can be evaluated cannot be meant, one message each.
func (c Compiled) Doubts() []string {
	if len(c.figures) == 0 {
		return []string{"the expression reads no figure, so it says nothing of a link"}
	}
	return c.doubts(c.tree)
}

func (c Compiled) doubts(part ast.Expr) []string {
	var list []string
	if part.Kind() == ast.CallKind {
		call := part.AsCall()
		if name := call.FunctionName(); name == operators.Equals || name == operators.NotEquals {
			list = append(list, c.doubtComparison(call.Args()[0], call.Args()[1])...)
			list = append(list, c.doubtComparison(call.Args()[1], call.Args()[0])...)
		}
	}
	for _, inner := range parts(part) {
		list = append(list, c.doubts(inner)...)
	}
	return list
}

// doubtComparison says what is wrong with comparing a figure with a literal.
func (c Compiled) doubtComparison(figure, literal ast.Expr) []string {
	name, known := c.figures[figure.ID()]
	if !known || literal.Kind() != ast.LiteralKind {
		return nil
	}
	value := literal.AsLiteral()
	if value == types.NullValue {
		return []string{fmt.Sprintf("%s is never null: has(%s) asks whether it is known", name, name)}
	}
	text, isText := value.(types.String)
	values := valuesOf(goType(figure, goTypes()))
	if !isText || len(values) == 0 || slices.Contains(values, string(text)) {
		return nil
	}
	return []string{fmt.Sprintf("%s is never %q: it is one of %s", name, string(text), strings.Join(values, ", "))}
}

// valuesOf are the texts that a field of the contract may have, nil if it may have any.
func valuesOf(of reflect.Type) []string {
	switch of {
	case reflect.TypeFor[result.Outcome]():
		return texts(result.Measured, result.Unsupported, result.Skipped, result.Failed, result.Lost)
	case reflect.TypeFor[result.CloseCause]():
		return texts(result.CloseNone, result.CloseAnnounced, result.CloseUnannounced, result.CloseHTTP10, result.CloseDelimited, result.CloseReset)
	case reflect.TypeFor[result.IdleCut]():
		return texts(result.CutFIN, result.CutRST, result.CutBlackHole, result.CutMixed)
	case reflect.TypeFor[result.Side]():
		return texts(result.SideClient, result.SideServer, result.SideNone)
	case reflect.TypeFor[result.PipeliningVerdict]():
		return texts(result.PipeliningInOrder, result.PipeliningSerial, result.PipeliningClosed, result.PipeliningOutOfOrder, result.PipeliningRefused)
	}
	return nil
}

func texts[T ~string](values ...T) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = string(value)
	}
	return list
}

// Reads are the measurements that the expression reads, and observer if it reads that, each once.
func (c Compiled) Reads() []string {
	var roots []string
	for _, name := range c.figures {
		root, _, _ := strings.Cut(name, ".")
		root, _, _ = strings.Cut(root, "[")
		roots = append(roots, root)
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}
