package userrules

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// metaField holds what every measurement says about itself. JSON shows its fields as the measurement's own.
const metaField = "Meta"

// errNotKnown: the contract leaves a field out, because the figure is not known.
var errNotKnown = errors.New("is not known")

// withContractFields reads fields as the contract means them. ext.NativeTypes alone reads a nil pointer as zero, and does
// not show the fields of an embedded struct as the struct's own.
func withContractFields(env *cel.Env) (*cel.Env, error) {
	return cel.CustomTypeProvider(contract{env.CELTypeProvider()})(env)
}

type contract struct{ types.Provider }

// FindStructFieldType returns the type of a field, and how to read it: with errNotKnown where it is not known.
func (c contract) FindStructFieldType(structType, field string) (*types.FieldType, bool) {
	if field == metaField {
		return nil, false
	}
	if own, found := c.Provider.FindStructFieldType(structType, field); found {
		return known(own, field), true
	}
	meta, embedded := c.Provider.FindStructFieldType(structType, metaField)
	if !embedded {
		return nil, false
	}
	inner, found := c.Provider.FindStructFieldType(meta.Type.TypeName(), field)
	if !found {
		return nil, false
	}
	return &types.FieldType{
		Type:  inner.Type,
		IsSet: func(any) bool { return true }, // a measurement always says what became of it
		GetFrom: func(target any) (any, error) {
			value, err := meta.GetFrom(target)
			if err != nil {
				return nil, err
			}
			return inner.GetFrom(value)
		},
	}, true
}

func known(field *types.FieldType, name string) *types.FieldType {
	return &types.FieldType{
		Type:  field.Type,
		IsSet: func(target any) bool { return !leftOut(target, name) },
		GetFrom: func(target any) (any, error) {
			if leftOut(target, name) {
				return nil, fmt.Errorf("%s %w", name, errNotKnown)
			}
			return field.GetFrom(target)
		},
	}
}

// leftOut says whether the contract leaves a field of a struct out because it is not known: a nil pointer, or an empty
// text, list or map that JSON omits. Zero is a measured zero.
func leftOut(target any, name string) bool {
	value := reflect.Indirect(reflect.ValueOf(target))
	for _, field := range reflect.VisibleFields(value.Type()) {
		if jsonName(field) != name {
			continue
		}
		switch inner := value.FieldByIndex(field.Index); inner.Kind() {
		case reflect.Pointer:
			return inner.IsNil()
		case reflect.String, reflect.Slice, reflect.Map:
			return inner.Len() == 0 && strings.Contains(field.Tag.Get("json"), ",omitempty")
		}
		return false
	}
	return false
}
