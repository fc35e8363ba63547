{{ changes_of('person') }}
