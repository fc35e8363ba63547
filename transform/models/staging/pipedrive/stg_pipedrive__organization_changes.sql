{{ changes_of('organization') }}
